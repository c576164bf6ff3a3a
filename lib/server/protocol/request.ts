import type { Datatype, TensorData } from './datatypes';

/** A tensor of a request, whatever it came in; its data is read when the model has said that it wants it. */
export interface RequestTensor {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
  /** Reads the data of `count` elements. Throws ERR_REQUEST_SHAPE and ERR_REQUEST_VALUE. */
  read(count: number): TensorData;
}

/** A request for inference, as every protocol hands it on. */
export interface InferRequest {
  readonly parameters: ReadonlyMap<string, unknown>;
  readonly inputs: readonly RequestTensor[];
  /** Names of the outputs that are wanted; empty: those that the model gives by default. */
  readonly outputs: readonly string[];
}
