/** One output and what it should have been: any of the references. */
export interface TaskOutput {
  prediction: string;
  references: readonly string[];
}
