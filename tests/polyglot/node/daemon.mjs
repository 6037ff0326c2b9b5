// A presence-router daemon for tests: the binary, its policy file, its socket.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import grpc from '@grpc/grpc-js';

import { v1 } from './contract.mjs';
import { Router } from './router.mjs';

/** One daemon on a Unix socket. Tests can kill it and start it again. */
export class Daemon {
  #folder = mkdtempSync(join(tmpdir(), 'presence-router-'));
  #process;

  /** Starts a daemon with a policy, and ends it with the test. */
  static async serving(t, policy) {
    const daemon = new Daemon();
    t.after(async () => {
      await daemon.end('SIGTERM');
      rmSync(daemon.#folder, { recursive: true });
    });
    await daemon.start(policy);
    return daemon;
  }

  get address() {
    return `unix:${this.#file('router.sock')}`;
  }

  async start(policy) {
    this.#write(policy);
    const settings = ['--policy', this.#file('policy.yaml'), '--listen-unix', this.#file('router.sock')];
    this.#process = spawn(process.env.PRESENCE_ROUTER_BIN, ['serve', ...settings], {
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    const lines = createInterface({ input: this.#process.stderr });
    await new Promise((resolve, reject) => {
      let log = '';
      // Read to its end, so that the daemon never waits for room in the pipe.
      lines.on('line', (line) => {
        log += `${line}\n`;
        if (line.includes('serving')) resolve();
      });
      lines.on('close', () => reject(new Error(`the daemon ended: ${log}`)));
    });
  }

  /** Makes the daemon load another policy. */
  reload(policy) {
    this.#write(policy);
    this.#process.kill('SIGHUP');
  }

  async end(signal) {
    const ended = once(this.#process, 'exit');
    this.#process.kill(signal);
    await ended;
  }

  #write(policy) {
    writeFileSync(this.#file('policy.yaml'), policy);
  }

  #file(name) {
    return join(this.#folder, name);
  }
}

/** A client, closed with the test. */
export function connect(t, address) {
  const client = new v1.PresenceRouterService(address, grpc.credentials.createInsecure());
  t.after(() => client.close());
  return client;
}

/** A stream, closed with the test. */
export async function openRouter(t, address, serverNames, ...rooms) {
  const router = new Router(connect(t, address), serverNames, ...rooms);
  t.after(() => router.close());
  await router.connect();
  return router;
}
