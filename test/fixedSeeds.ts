import fc from "fast-check";

/**
 * Property tests try the same cases every time. `npm run soak` tries others, and more of them: MSWITCH_SEED and MSWITCH_RUNS, the number
 * of cases a property.
 */
const { MSWITCH_SEED, MSWITCH_RUNS } = process.env;
fc.configureGlobal({
  seed: Number(MSWITCH_SEED ?? 20_240_229),
  ...(MSWITCH_RUNS ? { numRuns: Number(MSWITCH_RUNS), interruptAfterTimeLimit: 40_000 } : {}),
});
