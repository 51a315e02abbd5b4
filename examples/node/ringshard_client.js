'use strict';
// Runs the statements of a program on the shard that owns a key. docs/routing.md has the rules. Needs `pg`.

const { createHash } = require('node:crypto');
const { setTimeout: sleep } = require('node:timers/promises');
const { Client, Pool } = require('pg');

// The shards of a cluster; `url` is that of any of them. The URLs have no password: set PGPASSWORD or a password file.
class Cluster {
  static async connect(url, patience = 10_000) {
    const cluster = Object.assign(new Cluster(), { patience, known: [url], pools: new Map() });
    await cluster.load();
    return cluster;
  }

  // Reads the ring from any shard that answers. An old ring costs detours, and never a wrong answer.
  async load() {
    for (const url of this.known) {
      const shard = new Client({ connectionString: url, connectionTimeoutMillis: 5000 });
      shard.on('error', () => {});
      try {
        await shard.connect();
        const { rows } = await shard.query("SELECT replace(last::text, '-', '') AS last, url, epoch FROM ringshard.ranges()");
        Object.assign(this, { ranges: rows, epoch: rows[0].epoch, loaded: Date.now() });
        this.known = [url, ...new Set(rows.map((row) => row.url).filter((other) => other !== url))];
        return;
      } catch {
        // The next shard may answer.
      } finally {
        await shard.end().catch(() => {});
      }
    }
    throw new Error('no shard answers');
  }

  // The URL of the shard that owns a key, by the ring. The key is a string as Postgres prints it, a bigint or a safe integer.
  owner(key) {
    if (!(typeof key === 'string' || typeof key === 'bigint' || Number.isSafeInteger(key))) throw new TypeError(`${key} is no sharding key`);
    const position = createHash('md5').update(String(key)).digest('hex');
    return this.ranges.find(({ last }) => last >= position).url;
  }

  pool(url) {
    if (!url) throw new Error('the shard has no URL');
    if (!this.pools.has(url)) {
      // A connection that breaks while it is idle is replaced; one in use fails its query.
      const pool = new Pool({ connectionString: url, connectionTimeoutMillis: 5000 });
      pool.on('error', () => {}).on('connect', (connection) => connection.on('error', () => {}));
      this.pools.set(url, pool);
    }
    return this.pools.get(url);
  }

  // Calls `work` with a connection to the owner of a key, in a transaction, and returns what it returns. A refusal rolls all back, and
  // `work` is called again: it changes nothing but the database.
  async run(key, work) {
    let url = this.owner(key);
    for (const deadline = Date.now() + this.patience; ;) {
      const connection = await this.pool(url).connect();
      let broken;
      try {
        await connection.query('BEGIN');
        await connection.query('SELECT ringshard.require_owner($1, $2)', [String(key), this.epoch]);
        const result = await work(connection);
        await connection.query('COMMIT');
        return result;
      } catch (error) {
        broken = await connection.query('ROLLBACK').then(() => undefined, (cause) => cause);
        if (!['RS001', 'RS002', 'RS014'].includes(error.code) || Date.now() > deadline) throw error;
        const before = url;
        const detail = error.code === 'RS001' ? JSON.parse(error.detail) : { url };
        // `work` wrote a row of another key.
        if (detail.refused_rows) throw error;
        url = detail.url;
        if (error.code !== 'RS002' && Date.now() > this.loaded + 1000) await this.load();
        if (url === before) {
          await sleep(10);
          if (error.code !== 'RS002') url = this.owner(key);
        }
      } finally {
        connection.release(broken);
      }
    }
  }

  async end() {
    await Promise.all([...this.pools.values()].map((pool) => pool.end()));
  }
}

module.exports = { Cluster };
