import { usageError } from "../../base/errors.js";

type Shapes = ReadonlyMap<string, readonly number[]>;

/**
 * @param directory of the checkpoint
 * @param there shapes of the checkpoint's parameters by name
 * @param here of the run's
 * @throws usageError that names a parameter that differs
 */
export function requireSameShapes(directory: string, there: Shapes, here: Shapes): void {
  const other = [...new Set([...here.keys(), ...there.keys()])].find(
    (name) => there.get(name)?.join() !== here.get(name)?.join(),
  );
  if (other === undefined) return;
  const told = (shape: readonly number[] | undefined): string => (shape ? `[${shape.join(", ")}]` : "not there");
  throw usageError("the checkpoint is of another model", {
    code: "checkpoint-model-mismatch",
    where: directory,
    why: `${other} is ${told(there.get(other))} in the checkpoint and ${told(here.get(other))} in the run`,
    hint: "leave the model's shapes as they are; init.from starts another model from these weights",
  });
}
