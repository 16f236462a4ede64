/** How evenly tokens are spread over the experts of a layer: the same three numbers in training metrics, evaluations and report. */
export interface LoadBalance {
  /** Shares of the least and of the most chosen expert. */
  least: number;
  most: number;
  /** Entropy of the shares in nats: ln(experts) where all are chosen alike, 0 where one takes everything. */
  entropy: number;
}

/** @param shares of the tokens that chose each expert, [experts]; they sum to 1 */
export function loadBalance(shares: ArrayLike<number>): LoadBalance {
  const balance = { least: Number.POSITIVE_INFINITY, most: 0, entropy: 0 };
  for (let e = 0; e < shares.length; e++) {
    const share = shares[e];
    balance.least = Math.min(balance.least, share);
    balance.most = Math.max(balance.most, share);
    if (share > 0) balance.entropy -= share * Math.log(share);
  }
  return balance;
}
