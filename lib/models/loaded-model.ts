import { FreqFusionError } from '../errors';
import type { Rgb } from '../image/types';
import type { CudaGraphOption } from '../jobs';
import type { LoadedInfo } from './loading';

/** @internal What every kind of model is made of. */
export interface LoadedModelInit<Network, Info extends LoadedInfo> {
  readonly network: Network;
  readonly classes: readonly string[];
  readonly palette: readonly Rgb[];
  readonly info: Info;
  /** Default false. */
  readonly cudaGraph?: CudaGraphOption;
}

/**
 * What every loaded model has: its network, the names and colours of its classes, and what it says of itself. Its
 * weights lie in native memory: free them with `dispose()` or `using`.
 */
export abstract class LoadedModel<
  Network extends { dispose(): void; disposed: boolean },
  Info extends LoadedInfo,
> {
  /** Names of the classes; of a panoptic model its things, then its stuff. */
  readonly classes: readonly string[];
  readonly palette: readonly Rgb[];
  readonly info: Info;
  /** @internal What it is called where its architecture has no name. */
  protected abstract readonly what: string;
  /** @internal */
  protected readonly cudaGraph: CudaGraphOption;
  readonly #network: Network;

  /** @internal */
  protected constructor({
    network,
    classes,
    palette,
    info,
    cudaGraph = false,
  }: LoadedModelInit<Network, Info>) {
    this.#network = network;
    this.classes = classes;
    this.palette = palette;
    this.info = info;
    this.cudaGraph = cudaGraph;
  }

  /** The network itself, for features, gradients or stages. It belongs to the model. */
  get network(): Network {
    return this.#network;
  }

  get disposed(): boolean {
    return this.#network.disposed;
  }

  /** Frees the network. Jobs that run end first. Safe to call twice. */
  dispose(): void {
    this.#network.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    const name = this.info.architecture ?? this.what;
    return this.disposed
      ? `${name} (disposed)`
      : `${name}, ${this.classes.length} classes, on ${this.info.device}`;
  }

  /** Throws ERR_DISPOSED after dispose(). */
  protected checkLive(): void {
    if (!this.disposed) return;
    throw new FreqFusionError('ERR_DISPOSED', `${this} was used after dispose()`, {
      expected: 'a live model',
      actual: 'a disposed model',
    });
  }
}
