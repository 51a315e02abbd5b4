/*
 * Which shard of a ringshard cluster owns a key: the ring of epoch @EPOCH@.
 *
 * Written by `ringshard ring export --format c`; write it again after each change of the ring. docs/routing.md says how a program
 * notices that its ring is old: the shard itself refuses a key that it does not own. The MD5 below is that of RFC 1321.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

const char *const ringshard_cluster = "@CLUSTER@";
const long ringshard_epoch = @EPOCH@;

/* A shard with its URL, without a password. */
struct ringshard_shard {
    int number;
    const char *name, *url;
};

const struct ringshard_shard ringshard_shards[] = {
@SHARDS@};

/* The last position of each range, and the number of its owner. */
static const struct {
    uint64_t high, low;
    int number;
} ring[] = {
@RING@};

static void md5_block(uint32_t state[4], const unsigned char *block)
{
    static const int turns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    for (int i = 0; i < 64; i++) {
        uint32_t f, word, sum;
        int at, turn = turns[i / 16][i % 4];
        if (i < 16) {
            f = (b & c) | (~b & d);
            at = i;
        } else if (i < 32) {
            f = (d & b) | (~d & c);
            at = (5 * i + 1) % 16;
        } else if (i < 48) {
            f = b ^ c ^ d;
            at = (3 * i + 5) % 16;
        } else {
            f = c ^ (b | ~d);
            at = (7 * i) % 16;
        }
        word = block[4 * at] | (uint32_t)block[4 * at + 1] << 8 | (uint32_t)block[4 * at + 2] << 16 | (uint32_t)block[4 * at + 3] << 24;
        sum = a + f + word + (uint32_t)(int64_t)floor(fabs(sin(i + 1)) * 4294967296.0);
        a = d;
        d = c;
        c = b;
        b += sum << turn | sum >> (32 - turn);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

/* The number of the shard that owns a key, which is given as Postgres prints it, and not NULL. */
int ringshard_shard_number(const char *key)
{
    size_t length = strlen(key), at = 0;
    unsigned char block[64];
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    uint64_t high, low, bits = (uint64_t)length * 8;
    size_t first = 0, last = sizeof ring / sizeof *ring - 1;

    for (; length - at >= 64; at += 64)
        md5_block(state, (const unsigned char *)key + at);
    memset(block, 0, sizeof block);
    memcpy(block, key + at, length - at);
    block[length - at] = 0x80;
    if (length - at >= 56) {
        md5_block(state, block);
        memset(block, 0, sizeof block);
    }
    for (int i = 0; i < 8; i++)
        block[56 + i] = (unsigned char)(bits >> (8 * i));
    md5_block(state, block);

    /* The digest is the words of the state, each with its lowest byte first; a position is the digest with its highest first. */
    for (int i = 0; i < 4; i++)
        state[i] = state[i] >> 24 | (state[i] >> 8 & 0xff00) | (state[i] << 8 & 0xff0000) | state[i] << 24;
    high = (uint64_t)state[0] << 32 | state[1];
    low = (uint64_t)state[2] << 32 | state[3];
    while (first < last) {
        size_t middle = (first + last) / 2;
        if (ring[middle].high < high || (ring[middle].high == high && ring[middle].low < low))
            first = middle + 1;
        else
            last = middle;
    }
    return ring[first].number;
}

/* That shard; NULL if there is none of that number. */
const struct ringshard_shard *ringshard_route(const char *key)
{
    int number = ringshard_shard_number(key);
    for (size_t i = 0; i < sizeof ringshard_shards / sizeof *ringshard_shards; i++)
        if (ringshard_shards[i].number == number)
            return &ringshard_shards[i];
    return NULL;
}
