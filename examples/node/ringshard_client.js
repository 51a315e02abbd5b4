'use strict';
// Runs the statements of a program on the shard that owns a key. docs/routing.md has the rules. Needs `pg`.

const { createHash } = require('node:crypto');
const { setTimeout: sleep } = require('node:timers/promises');
const { Client, Pool } = require('pg');

// The shards of a cluster; `url` is that of any of them. The URLs have no password: set PGPASSWORD or a password file.
class Cluster {
  static async connect(url, tries = 500) {
    const cluster = Object.assign(new Cluster(), { entry: url, tries, pools: new Map(), ranges: [] });
    await cluster.load();
    return cluster;
  }

  // Reads the ring. An old one costs detours, and never a wrong answer.
  async load() {
    const shard = new Client({ connectionString: this.entry });
    await shard.connect();
    this.ranges = (await shard.query("SELECT replace(last::text, '-', '') AS last, url FROM ringshard.ranges()")).rows;
    await shard.end();
  }

  // The URL of the shard that owns a key, by the ring.
  owner(key) {
    const position = createHash('md5').update(String(key)).digest('hex');
    return this.ranges.find(({ last }) => last >= position).url;
  }

  // Calls `work` with a connection to the owner of a key, in a transaction, and returns what it returns.
  async run(key, work) {
    let url = this.owner(key);
    for (let tried = 0; tried < this.tries; tried += 1) {
      if (!this.pools.has(url)) this.pools.set(url, new Pool({ connectionString: url }));
      const connection = await this.pools.get(url).connect();
      try {
        // Both are sent at once.
        const begun = connection.query('BEGIN');
        const proof = connection.query('SELECT ringshard.require_owner($1)', [String(key)]);
        const [, , result] = await Promise.all([begun, proof, work(connection)]);
        await connection.query('COMMIT');
        return result;
      } catch (error) {
        await connection.query('ROLLBACK');
        if (error.code === 'RS001') {
          url = JSON.parse(error.detail).url;
          await this.load();
        } else if (error.code === 'RS002') await sleep(10);
        else throw error;
      } finally {
        connection.release();
      }
    }
    throw new Error(`no shard took the key ${key}`);
  }

  async end() {
    await Promise.all([...this.pools.values()].map((pool) => pool.end()));
  }
}

module.exports = { Cluster };
