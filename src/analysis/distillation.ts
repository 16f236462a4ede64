/**
 * The share of a teacher's gain that a distilled model keeps (Switch paper §4.2, Table 6): (distilled − student) / (teacher − student), each a
 * quality such as the negative log perplexity; `student` is the same model trained without the teacher. Below 0 where distillation was
 * worse than none; null where the teacher is no better than the student, when there is no gain to keep.
 */
export function shareKept(qualities: { distilled: number; student: number; teacher: number }): number | null {
  const { distilled, student, teacher } = qualities;
  return teacher > student ? (distilled - student) / (teacher - student) : null;
}

/** The share of the teacher's parameters that the student does without: 1 − student / teacher. */
export function compression(parameters: { student: number; teacher: number }): number {
  return 1 - parameters.student / parameters.teacher;
}
