// The contract as @grpc/proto-loader reads it: no code is generated. Ids of 64
// bits are strings, so that none is rounded.

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
    // Names the member that is set: `expression.expression === 'anyOf'`.
    oneofs: true,
  }),
).presence_router.v1;
