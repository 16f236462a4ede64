import type { RankGroup } from "../ops/distributed/collectives.js";

/** The ranks that one copy of a model is split over. */
export interface ModelGroups {
  /** Each has some of every layer's experts; they compute different rows of a batch. */
  expert: RankGroup;
  /** Each has some of dFf, heads and vocabulary; they compute the same rows. */
  model: RankGroup;
}
