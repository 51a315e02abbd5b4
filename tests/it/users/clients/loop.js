'use strict';
// Writes a user and reads ten through the example client, again and again, until standard input ends and it has read often enough.
// Each answer has to be what was last acknowledged. Prints how often it has read and written.
const { Cluster } = require('ringshard_client');

const [url, ids, least] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
let isOver = false;
process.stdin.on('end', () => { isOver = true; }).resume();

(async () => {
  const cluster = await Cluster.connect(url);
  const read = async (user) => {
    const { rows } = await cluster.run(user, (shard) => shard.query('SELECT name FROM users WHERE user_id = $1', [user]));
    if (rows.length !== 1) throw new Error(`user ${user}: ${JSON.stringify(rows)}`);
    return rows[0].name;
  };
  const expect = async (user, name) => {
    const found = await read(user);
    if (found !== name) throw new Error(`user ${user}: ${found} instead of ${name}`);
  };
  const names = new Map();
  for (let user = 1; user <= ids; user += 1) names.set(user, await read(user));
  let reads = 0;
  let writes = 0;
  while (!isOver || reads < least || writes < ids) {
    const [user, name] = [1 + (writes % ids), `name ${writes}`];
    const written = await cluster.run(user, (shard) => shard.query('UPDATE users SET name = $1 WHERE user_id = $2', [name, user]));
    if (written.rowCount !== 1) throw new Error(`user ${user}: ${written.rowCount} rows written`);
    names.set(user, name);
    writes += 1;
    for (let step = 0; step < 10; step += 1) {
      const other = 1 + ((user + step * 7) % ids);
      await expect(other, names.get(other));
      reads += 1;
    }
  }
  for (const [user, name] of names) await expect(user, name);
  console.log(reads, writes);
  await cluster.end();
})();
