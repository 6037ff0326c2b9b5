// The contract as @grpc/proto-loader reads it, without generated code. Ids of 64 bits are
// strings, so that JavaScript does not round them.

import { fileURLToPath } from 'node:url';

import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

const root = fileURLToPath(new URL('../../../proto', import.meta.url));

export const v1 = grpc.loadPackageDefinition(
  protoLoader.loadSync('presence_router/v1/presence_router.proto', {
    includeDirs: [root],
    enums: String,
    longs: String,
    defaults: true,
    // Adds the name of the member that is set: `expression.expression === 'anyOf'`.
    oneofs: true,
  }),
).presence_router.v1;
