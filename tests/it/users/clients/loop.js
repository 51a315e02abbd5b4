'use strict';
// Reads and writes users through the example client until standard input ends. Prints how many of each.
const { Cluster } = require('ringshard_client');

const [url, ids] = [process.argv[2], Number(process.argv[3])];
let isOver = false;
process.stdin.on('end', () => { isOver = true; }).resume();

(async () => {
  const cluster = await Cluster.connect(url);
  let reads = 0;
  let writes = 0;
  while (!isOver || reads < ids) {
    const user = 1 + (reads % ids);
    const name = `name ${reads}`;
    const written = await cluster.run(user, (shard) => shard.query('UPDATE users SET name = $1 WHERE user_id = $2', [name, user]));
    const found = await cluster.run(user, (shard) => shard.query('SELECT name FROM users WHERE user_id = $1', [user]));
    if (written.rowCount !== 1 || found.rows.length !== 1 || found.rows[0].name !== name) {
      throw new Error(`user ${user}: ${written.rowCount}, ${JSON.stringify(found.rows)}`);
    }
    reads += 1;
    writes += 1;
  }
  console.log(reads, writes);
  await cluster.end();
})();
