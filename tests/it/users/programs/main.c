/* Prints the number of the shard of each line of `keys`. */
#include <stdio.h>
#include <string.h>

int ringshard_shard_number(const char *key);

int main(void)
{
    char line[1000];
    FILE *keys = fopen("keys", "r");

    while (fgets(line, sizeof line, keys)) {
        line[strlen(line) - 1] = 0;
        printf("%d\n", ringshard_shard_number(line));
    }
    return 0;
}
