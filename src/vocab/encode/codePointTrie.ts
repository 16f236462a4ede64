/**
 * A set of keys, each a sequence of code points, as a trie whose nodes are placed in a double array over code points: one step
 * costs one look-up, and a step is a character, not a byte.
 *
 * Node `n` goes by the code point with dense code `c` to the node in the slot `bases[n] + c`, if that is a child of `n`. No two nodes
 * with children share a base, so a slot that holds its parent's base tells whose child it is. Node 0 is the root, in slot 0.
 */
export interface CodePointTrie {
  /** Dense code of a code point, frequent ones first; 0 where no key holds it, and no node goes on by 0. */
  codeOf: Uint16Array | Uint32Array;
  /** By node, each after its parent: parent, code that leads to it, slot, base (0 without children). */
  parents: Int32Array;
  codes: Int32Array;
  slots: Int32Array;
  bases: Int32Array;
  /** The number of the key that ends in a node; -1 where none does. */
  ends: Int32Array;
  /** Codes of node `n`'s children: `childCodes[firstChild[n], firstChild[n + 1])`. */
  firstChild: Uint32Array;
  childCodes: Int32Array;
  nodeCount: number;
  /** Every base plus every code is below it. */
  slotCount: number;
}

const codePoints = 0x110000;

/** Keys under construction: key `i` is `pool[starts[i], starts[i + 1])`, `values[i]` is what its last state holds. */
export interface TrieKeys {
  pool: Int32Array;
  starts: Uint32Array;
  values: Int32Array;
}

/** Builds the trie. Of equal keys the last one stays. Linear in the code points of all keys, but for the search of free slots. */
export function buildCodePointTrie({ pool, starts, values }: TrieKeys): CodePointTrie {
  const keyCount = values.length;
  const codeOf = denseCodes(pool.subarray(0, starts[keyCount]));
  const { parents, codes, ends, nodeCount } = insertKeys({ pool, starts, values }, codeOf);

  // Children by parent, each group in code order of insertion: a counting sort.
  const firstChild = new Uint32Array(nodeCount + 1);
  for (let node = 1; node < nodeCount; node++) firstChild[parents[node] + 1]++;
  for (let node = 0; node < nodeCount; node++) firstChild[node + 1] += firstChild[node];
  const childCodes = new Int32Array(Math.max(0, nodeCount - 1));
  const cursor = firstChild.slice();
  for (let node = 1; node < nodeCount; node++) childCodes[cursor[parents[node]]++] = codes[node];

  const { bases, slotCount } = placeNodes(firstChild, childCodes, nodeCount);
  const slots = new Int32Array(nodeCount);
  for (let node = 1; node < nodeCount; node++) slots[node] = bases[parents[node]] + codes[node];
  return { codeOf, parents, codes, slots, bases, ends, firstChild, childCodes, nodeCount, slotCount };
}

/** Numbers the code points by falling frequency, from 1: frequent ones lie together, and low codes pack densely. */
function denseCodes(pool: Int32Array): CodePointTrie["codeOf"] {
  const counts = new Uint32Array(codePoints);
  for (const codePoint of pool) counts[codePoint]++;
  const used: number[] = [];
  for (let codePoint = 0; codePoint < codePoints; codePoint++) if (counts[codePoint] > 0) used.push(codePoint);
  used.sort((a, b) => counts[b] - counts[a] || a - b);
  const codeOf = used.length < 0xffff ? new Uint16Array(codePoints) : new Uint32Array(codePoints);
  used.forEach((codePoint, i) => {
    codeOf[codePoint] = i + 1;
  });
  return codeOf;
}

/** A plain trie of nodes numbered in order of insertion; children are found through one hash table of (parent, code). */
function insertKeys({ pool, starts, values }: TrieKeys, codeOf: CodePointTrie["codeOf"]) {
  const capacity = pool.length + 1;
  const parents = new Int32Array(capacity);
  const codes = new Int32Array(capacity);
  const ends = new Int32Array(capacity).fill(-1);
  let nodeCount = 1;
  let bits = 4;
  while (2 ** bits < 2 * capacity) bits++;
  const table = new Int32Array(2 ** bits);
  const mask = 2 ** bits - 1;
  for (let key = 0; key < values.length; key++) {
    let node = 0;
    for (let i = starts[key]; i < starts[key + 1]; i++) {
      const code = codeOf[pool[i]];
      let hash = Math.imul(node, 0x9e3779b1) ^ Math.imul(code, 0x85ebca6b);
      hash ^= hash >>> 15;
      let at = hash & mask;
      let child = table[at];
      while (child !== 0 && (parents[child] !== node || codes[child] !== code)) {
        at = (at + 1) & mask;
        child = table[at];
      }
      if (child === 0) {
        child = nodeCount++;
        table[at] = child;
        parents[child] = node;
        codes[child] = code;
      }
      node = child;
    }
    ends[node] = values[key];
  }
  return { parents, codes, ends, nodeCount };
}

/**
 * Finds a base for every node, first fit. Nodes with many children go first, while there is room; the many with one child fill
 * the gaps. That keeps the search short: placed in trie order instead, it would pass over the same full slots again and again.
 */
function placeNodes(firstChild: Uint32Array, childCodes: Int32Array, nodeCount: number) {
  let maxCode = 0;
  for (const code of childCodes) maxCode = Math.max(maxCode, code);
  const order = byFallingDegree(firstChild, nodeCount);

  // `next[i]` leads to the first free slot at or after `i` (a union-find forest with path halving).
  let next = new Int32Array(2 * nodeCount + 2 * maxCode + 2);
  for (let i = 0; i < next.length; i++) next[i] = i;
  const grow = (): void => {
    const larger = new Int32Array(next.length * 2);
    larger.set(next);
    for (let i = next.length; i < larger.length; i++) larger[i] = i;
    next = larger;
  };
  const free = (from: number): number => {
    let i = from;
    while (next[i] !== i) {
      next[i] = next[next[i]];
      i = next[i];
    }
    return i;
  };
  next[0] = 1;
  let taken = new Uint8Array(next.length);

  const bases = new Int32Array(nodeCount);
  // For the nodes with one child, by its code: up to where each slot is full or its base is taken, which both stay so.
  const cursors = new Int32Array(maxCode + 1);
  let top = 0;
  let cursor = 1;
  let size = 0;
  for (const node of order) {
    const start = firstChild[node];
    const end = firstChild[node + 1];
    if (end - start !== size) {
      size = end - start;
      cursor = 1;
    }
    const lead = childCodes[start];
    let slot = free(Math.max(size > 1 ? cursor : cursors[lead], lead));
    for (;;) {
      while (slot - lead + maxCode + 1 >= next.length) grow();
      if (taken.length < next.length) {
        const larger = new Uint8Array(next.length);
        larger.set(taken);
        taken = larger;
      }
      let fits = taken[slot - lead] === 0;
      for (let i = start + 1; i < end && fits; i++) {
        const at = slot - lead + childCodes[i];
        fits = next[at] === at;
      }
      if (fits) break;
      slot = free(slot + 1);
    }
    // For nodes of one size the search never turns back: slots it passed were too crowded for this size.
    if (size > 1) cursor = slot;
    else cursors[lead] = slot;
    const base = slot - lead;
    bases[node] = base;
    taken[base] = 1;
    for (let i = start; i < end; i++) {
      const at = base + childCodes[i];
      next[at] = at + 1;
      top = Math.max(top, base);
    }
  }
  return { bases, slotCount: top + maxCode + 1 };
}

/** The nodes with children, those with most first, of equals in their own order: a counting sort. */
function byFallingDegree(firstChild: Uint32Array, nodeCount: number): Int32Array {
  const degree = (node: number): number => firstChild[node + 1] - firstChild[node];
  let most = 0;
  for (let node = 0; node < nodeCount; node++) most = Math.max(most, degree(node));
  // `places[d]` comes after all nodes of a higher degree.
  const places = new Int32Array(most + 2);
  for (let node = 0; node < nodeCount; node++) if (degree(node) > 0) places[degree(node) - 1]++;
  for (let d = most; d > 0; d--) places[d - 1] += places[d];
  const order = new Int32Array(places[0]);
  for (let node = 0; node < nodeCount; node++) if (degree(node) > 0) order[places[degree(node)]++] = node;
  return order;
}
