'use strict';
// Prints the number of the shard of each line of `keys`.
const ring = require('./ring.js');

for (const key of require('node:fs').readFileSync('keys', 'utf8').slice(0, -1).split('\n')) console.log(ring.shardNumber(key));
