import { type Static, type TSchema, Type } from '@sinclair/typebox';
import { TypeCompiler, type ValueError } from '@sinclair/typebox/compiler';
import { invalidArgument } from '../../errors';
import { DATATYPES, MAX_RANK } from './datatypes';

/** A member that may be missing, or null as some clients write what they have not. */
const maybe = <Schema extends TSchema>(schema: Schema) => Type.Optional(Type.Union([schema, Type.Null()]));

const Parameters = maybe(
  Type.Record(Type.String(), Type.Unknown(), {
    description: 'parameters by name: docs/protocol.md lists them',
  }),
);

const Shape = Type.Array(Type.Integer(), { maxItems: MAX_RANK });

const Datatype = Type.String({ description: DATATYPES.join(', ') });

/** A request's JSON, or the part of it before the binary data. */
export const InferRequestSchema = Type.Object(
  {
    id: maybe(Type.String({ maxLength: 1024, description: 'comes back in the answer' })),
    parameters: Parameters,
    inputs: Type.Array(
      Type.Object({
        name: Type.String(),
        shape: Shape,
        datatype: Datatype,
        parameters: Parameters,
        data: Type.Optional(
          Type.Unknown({
            description: 'the elements in a row or in nested lists; none where the data is binary',
          }),
        ),
      }),
      { minItems: 1, maxItems: 16 },
    ),
    outputs: maybe(
      Type.Array(Type.Object({ name: Type.String(), parameters: Parameters }), {
        maxItems: 16,
        description: "default: the model's default outputs",
      }),
    ),
  },
  { description: 'a request of the Open Inference Protocol' },
);

/** A request's JSON. */
export type InferRequestJson = Static<typeof InferRequestSchema>;

const Tensor = Type.Object({
  name: Type.String(),
  shape: Shape,
  datatype: Datatype,
  parameters: Parameters,
  data: Type.Optional(Type.Unknown()),
});

/** An answer's JSON, or the part of it before the binary data. */
export const InferResponseSchema = Type.Object(
  {
    model_name: Type.String(),
    model_version: Type.String(),
    id: Type.String(),
    outputs: Type.Array(Tensor),
  },
  { description: 'an answer of the Open Inference Protocol' },
);

const TensorMetadata = Type.Object({ name: Type.String(), datatype: Datatype, shape: Shape });

/** A model's metadata. */
export const ModelMetadataSchema = Type.Object({
  name: Type.String(),
  versions: Type.Array(Type.String()),
  platform: Type.String(),
  inputs: Type.Array(TensorMetadata),
  outputs: Type.Array(TensorMetadata),
  parameters: Type.Record(Type.String(), Type.String()),
});

/** The server's metadata. */
export const ServerMetadataSchema = Type.Object({
  name: Type.String(),
  version: Type.String(),
  extensions: Type.Array(Type.String()),
});

/** The models of the server. */
export const ModelListSchema = Type.Object({
  models: Type.Array(
    Type.Object({
      name: Type.String(),
      version: Type.String(),
      task: Type.String(),
      state: Type.String(),
      ready: Type.Boolean(),
      platform: Type.String(),
      classes: Type.Array(
        Type.Object({
          index: Type.Integer(),
          name: Type.String(),
          color: Type.Tuple([Type.Integer(), Type.Integer(), Type.Integer()]),
        }),
        { description: 'empty until the model is ready' },
      ),
    }),
  ),
});

/** Whether a model can answer. */
export const ModelReadySchema = Type.Object({ name: Type.String(), ready: Type.Boolean() });

/** Makes a check of JSON against a schema, which throws ERR_REQUEST with the place of what is wrong. */
export function checkerOf<Schema extends TSchema>(schema: Schema): (value: unknown) => Static<Schema> {
  const compiled = TypeCompiler.Compile(schema);
  return (value) => {
    if (compiled.Check(value)) return value as Static<Schema>;
    const { path, message, value: actual } = innermost(compiled.Errors(value).First()!);
    const expected = message.replace(/^Expected /, '').replace(/^required property$/, 'a value');
    throw invalidArgument('ERR_REQUEST', memberOf(path), expected, actual);
  };
}

/** Of a member that may be null, what it would have to be otherwise. */
function innermost(error: ValueError): ValueError {
  const inner = error.errors[0]?.First();
  return inner === undefined ? error : innermost(inner);
}

/** A JSON pointer as JavaScript would write it: inputs[0].shape. */
function memberOf(pointer: string): string {
  const [first, ...rest] = pointer.split('/').slice(1);
  if (first === undefined) return 'the request';
  return rest.reduce((path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : `${path}.${part}`), first);
}
