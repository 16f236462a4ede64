/** What inflating came to. The host knows these numbers too: `src/corpus/read/inflater.ts`. */

/** Within the module only. */
export const going: i32 = -1;
export const blockEnd: i32 = -2;

export const inputNeeded: i32 = 0;
export const pieceFull: i32 = 1;
/** After the last member stands a zero: padding, whatever comes after it. */
export const ended: i32 = 2;

/** Faults, in zlib's words in the host. */
export const badHeader: i32 = 3;
export const badMethod: i32 = 4;
export const badFlags: i32 = 5;
export const badHeaderChecksum: i32 = 6;
export const badBlockType: i32 = 7;
export const badStoredLength: i32 = 8;
export const tooManySymbols: i32 = 9;
export const badLengthCode: i32 = 10;
export const badRepeat: i32 = 11;
export const noEndOfBlock: i32 = 12;
export const badLiteralCode: i32 = 13;
export const badDistanceCode: i32 = 14;
export const badLength: i32 = 15;
export const badDistance: i32 = 16;
export const farDistance: i32 = 17;
export const badChecksum: i32 = 18;
export const badSize: i32 = 19;
