'use strict';
// Which shard of a ringshard cluster owns a key: the ring of epoch @EPOCH@.
//
// Written by `ringshard ring export --format javascript`; write it again after each change of the ring. docs/routing.md says how
// a program notices that its ring is old: the shard itself refuses a key that it does not own.

const { createHash } = require('node:crypto');

const CLUSTER = '@CLUSTER@';
const EPOCH = @EPOCH@;

// The name and the URL of each shard, without a password, by its number.
const SHARDS = new Map([
@SHARDS@]);

// The last position of each range, in hexadecimal digits, and the number of its owner.
const LAST = [
@LAST@];
const OWNER = [
@OWNER@];

// The number of the shard that owns a key: a string as Postgres prints it, a bigint or a safe integer.
function shardNumber(key) {
  if (!(typeof key === 'string' || typeof key === 'bigint' || Number.isSafeInteger(key))) throw new TypeError(`${key} is no sharding key`);
  const position = createHash('md5').update(String(key)).digest('hex');
  let low = 0;
  let high = LAST.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (LAST[middle] < position) low = middle + 1;
    else high = middle;
  }
  return OWNER[low];
}

// The name and the URL of that shard.
function route(key) {
  return SHARDS.get(shardNumber(key));
}

module.exports = { CLUSTER, EPOCH, SHARDS, shardNumber, route };
