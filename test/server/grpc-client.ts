import { join } from 'node:path';
import {
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  type requestCallback,
  type ServiceDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const PROTO = join(__dirname, '..', '..', 'lib', 'server', 'grpc', 'open_inference_grpc.proto');

const SERVICE = loadSync(PROTO, { keepCase: true, longs: Number, defaults: true, oneofs: true })[
  'inference.GRPCInferenceService'
] as unknown as ServiceDefinition;

/** A call of a test. */
export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Milliseconds from now. */
  readonly deadline?: number;
  readonly signal?: AbortSignal;
}

/** A client of the published service, made from the same definition. */
export class GrpcClient {
  readonly #client: Client;

  constructor(port: number) {
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
    });
  }

  /** Calls a method with a message. Rejects with grpc-js's ServiceError. */
  // biome-ignore lint/suspicious/noExplicitAny: whatever message the server sent
  call(method: string, message: object = {}, options: CallOptions = {}): Promise<any> {
    return this.#call(SERVICE[method]!, message, options, SERVICE[method]!.requestSerialize);
  }

  /** Calls ModelInfer with bytes in the place of a message. */
  // biome-ignore lint/suspicious/noExplicitAny: whatever message the server sent
  inferBytes(bytes: Buffer, options: CallOptions = {}): Promise<any> {
    return this.#call(SERVICE.ModelInfer!, bytes, options, (sent) => sent as unknown as Buffer);
  }

  /** A ModelInferRequest as bytes. */
  bytesOf(message: object): Buffer {
    return SERVICE.ModelInfer!.requestSerialize(message);
  }

  close(): void {
    this.#client.close();
  }

  #call(
    { path, responseDeserialize }: MethodDefinition<object, object>,
    message: object,
    { headers = {}, deadline, signal }: CallOptions,
    serialize: (message: object) => Buffer,
  ): Promise<unknown> {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    const options = deadline === undefined ? {} : { deadline: Date.now() + deadline };
    return new Promise((resolve, reject) => {
      const answered: requestCallback<object> = (error: ServiceError | null, answer?: object) =>
        error === null ? resolve(answer) : reject(error);
      const call = this.#client.makeUnaryRequest(
        path,
        serialize,
        responseDeserialize,
        message,
        metadata,
        options,
        answered,
      );
      signal?.addEventListener('abort', () => call.cancel(), { once: true });
    });
  }
}
