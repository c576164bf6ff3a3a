export type { ModelConfig, ServeConfig, ServerOptions } from './config';
export {
  type ConfigEnvironment,
  defaultServeConfig,
  type PartialServeConfig,
  readServeConfig,
} from './config-file';
export { ServerError } from './errors';
export type { AnyServedModel, ModelRepository } from './model-repository';
export { type RunServerInit, runServer } from './run-server';
export { InferenceServer, type ServerInit } from './server';
