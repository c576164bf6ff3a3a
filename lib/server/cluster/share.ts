import { type ServeConfig, threadsOfWorker } from '../config';
import { defaultMaxMemory } from '../guards';

/**
 * What one of several workers runs by: its share of the cores and of the memory, and where a model is on `cuda`, one of
 * the GPUs, dealt out in turn.
 */
export function shareOf(config: ServeConfig, index: number, gpus: () => number): ServeConfig {
  const { server, models } = config;
  const { workers, threads, maxMemory } = server;
  return {
    server: {
      ...server,
      threads: threads ?? threadsOfWorker(workers),
      maxMemory: maxMemory === undefined ? defaultMaxMemory(workers) : Math.floor(maxMemory / workers),
    },
    models: models.map((model) => {
      if (model.device !== 'cuda') return model;
      const count = gpus();
      return count > 1 ? { ...model, device: `cuda:${index % count}` } : model;
    }),
  };
}
