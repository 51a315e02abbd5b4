# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_ringshard_global_optspecs
    string join \n c= f= keep-going config= cluster= o/format= no-header x/expanded q/quiet v/verbose color= log-file= read-replica= read-only y/yes no-input h/help V/version
end

function __fish_ringshard_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_ringshard_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_ringshard_using_subcommand
    set -l cmd (__fish_ringshard_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c ringshard -n "__fish_ringshard_needs_command" -s c -d 'Run a command; may be given more than once' -r
complete -c ringshard -n "__fish_ringshard_needs_command" -s f -d 'Run the commands of a file, one per line; `-` for standard input' -r -F
complete -c ringshard -n "__fish_ringshard_needs_command" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_needs_command" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_needs_command" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_needs_command" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_needs_command" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_needs_command" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_needs_command" -l keep-going -d 'With -c or -f: continue after an error'
complete -c ringshard -n "__fish_ringshard_needs_command" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_needs_command" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_needs_command" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_needs_command" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_needs_command" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_needs_command" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_needs_command" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_needs_command" -s V -l version -d 'Print version'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "init-shards" -d 'Create or adopt the shards: databases, tables, catalog'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "create-user" -d 'Store a new user on the shard that owns its id'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "get-user" -d 'Read a user from the shard that owns its id'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "update-user" -d 'Change fields of a user'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "delete-user" -d 'Delete a user'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "list-users" -d 'List users of all shards, by id'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "count" -d 'Count users, all of them or by shard or region'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "import" -d 'Import users from a file: CSV with a header, or JSON lines'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "export" -d 'Export all users to a file, by id'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "load" -d 'Store synthetic users, and run a load that measures and checks every answer'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "sql" -d 'Run a SQL statement on the owner of its key, or on all shards, and merge the answers'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "route" -d 'Show which shard owns a key, for scripts'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "table" -d 'Manage the tables of the cluster: which are sharded, and by which key'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "schema" -d 'Keep the schema of the tables the same on all shards'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "shards" -d 'List the shards'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "status" -d 'Show all on one screen: shards, change under way, tables, replicas, and what is wrong'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "stats" -d 'Show statistics of each shard, or of this machine: sizes, rates, connections, lag'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "doctor" -d 'Check that every shard can be reached and is set up correctly, with a hint for each problem'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "add-shard" -d 'Plan to add a shard to the ring, or to change its weight; moves nothing'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "remove-shard" -d 'Plan to remove a shard from the ring; moves nothing'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "rebalance" -d 'Carry out the planned change of the ring by moving users, online'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "verify" -d 'Check that each row is on its owner and nowhere else, and repair'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "replica" -d 'Manage the replicas of the shards'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "promote" -d 'Make a replica the primary of a shard whose primary has failed'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "drill" -d 'Make a shard fail on purpose, for a limited time'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "ring" -d 'Show the ring: who owns what, and why'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "report" -d 'Write the state of the cluster into one HTML page'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "local" -d 'Manage the private Postgres that ringshard runs if it is given no server'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "config" -d 'Show the settings in force'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "completions" -d 'Print the completion script for a shell'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "man" -d 'Write the man pages into a folder'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "explain" -d 'Show step by step what a command would do, without running it'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "help" -d 'Explain a command, or a topic such as consistent-hashing'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "repl" -d 'Run commands interactively; the default on a terminal when no command is given'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "tour" -d 'Show how ringshard works, step by step, on its own private Postgres'
complete -c ringshard -n "__fish_ringshard_needs_command" -f -a "monitor" -d 'Show shards, ring and this machine, live and full screen; q leaves'
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -l shards -d 'The number of shards, which are named `shard_1` and so on [default: 3]' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -l server -d 'Create the shards as databases on this server' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -l shard -d 'Use this existing database as a shard; may be given more than once' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -l vnodes -d 'Virtual nodes of each shard [default: 100]' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand init-shards" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -l id -d 'The user\'s id, which determines the shard [default: if it is a bigint, a new one, made by a shard]' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -l name -d 'The name, up to 100 characters' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -l region -d 'The region, such as EU, up to 50 characters' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -l email -d 'The email address, up to 100 characters' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -l set -d 'Set any column of `users`, as in --set created_at=2026-01-31; may be given more than once' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -l set-null -d 'Set a column to NULL; may be given more than once' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand create-user" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand get-user" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand get-user" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand get-user" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand get-user" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand get-user" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand get-user" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand get-user" -l id -d 'The user\'s id' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand get-user" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand get-user" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand get-user" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand get-user" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand get-user" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand get-user" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand get-user" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand get-user" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l id -d 'The user\'s id' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l name -d 'The new name' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l region -d 'The new region' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l email -d 'The new email' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l set -d 'Set any column of `users`, as in --set created_at=2026-01-31; may be given more than once' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l set-null -d 'Set a column to NULL; may be given more than once' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l no-region -d 'Remove the region'
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -l no-email -d 'Remove the email'
complete -c ringshard -n "__fish_ringshard_using_subcommand update-user" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand delete-user" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand delete-user" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand delete-user" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand delete-user" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand delete-user" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand delete-user" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand delete-user" -l id -d 'The user\'s id' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand delete-user" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand delete-user" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand delete-user" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand delete-user" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand delete-user" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand delete-user" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand delete-user" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand delete-user" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -l region -d 'Only users of this region' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -l limit -d 'At most N users, those with the smallest ids' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -l after -d 'Only users with greater ids, for the page after the one that ended with this id' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -l table -d 'A sharded table [default: users]' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -l allow-partial -d 'If a shard is down: show the result of the others, name what is missing, exit with code 6'
complete -c ringshard -n "__fish_ringshard_using_subcommand list-users" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -l region -d 'Only users of this region' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -l by -d 'Count each group separately' -r -f -a "shard\t'One row for each shard'
region\t'One row for each region'
table\t'One row for each sharded table'"
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -l table -d 'A sharded table [default: users]' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -l allow-partial -d 'If a shard is down: show the result of the others, name what is missing, exit with code 6'
complete -c ringshard -n "__fish_ringshard_using_subcommand count" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -l on-conflict -d 'What to do about a user that exists already or appears twice; update sets the columns of the file' -r -f -a "error\t'Stop with an error'
skip\t'Leave the existing user unchanged'
update\t'Overwrite the existing user'"
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -l rejects -d 'Write bad records, and those that a shard refuses, to this file, and continue' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -l table -d 'A sharded table [default: users]' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -l batch-kib -d 'The size of a batch in KiB; for tests of what happens between two of them' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -l restart -d 'Ignore the progress of an interrupted import of this file'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -a "list" -d 'List the imports that run or were interrupted'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and not __fish_seen_subcommand_from list forget" -a "forget" -d 'Discard the progress of an interrupted import; what it stored stays'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from list" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from list" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from list" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from list" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from list" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from list" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from list" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from list" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from list" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from list" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from list" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from forget" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from forget" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from forget" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from forget" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from forget" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from forget" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from forget" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from forget" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from forget" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from forget" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from forget" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from forget" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from forget" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand import; and __fish_seen_subcommand_from forget" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -l table -d 'A sharded table [default: users]' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -l allow-partial -d 'If a shard is down: show the result of the others, name what is missing, exit with code 6'
complete -c ringshard -n "__fish_ringshard_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -f -a "fill" -d 'Store synthetic users, most of them in one region; the same seed gives the same users'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -f -a "run" -d 'Run operations from many clients, measure them, and check every answer'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and not __fish_seen_subcommand_from fill run clean" -f -a "clean" -d 'Remove the users that runs created, if some were killed before they removed them'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -l seed -d 'The seed of the generator; the same seed gives the same user for an id' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -l start -d 'The id of the first user' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -l on-conflict -d 'What to do about a user that exists already' -r -f -a "error\t'Stop with an error'
skip\t'Leave the existing user unchanged'
update\t'Overwrite the existing user'"
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from fill" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l clients -d 'The number of clients; each runs one operation at a time' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l duration -d 'The length of the run, such as 500ms, 10s or 2m' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l mix -d 'The weights of the operations get, create, update and delete' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l rate -d 'Operations per second, of all clients together; latencies then count from when an operation was due [default: no limit]' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l keys -d 'How the users are chosen' -r -f -a "uniform\t'Each user is equally likely'
zipf\t'A few users are used most, those with the lowest ids'
sequential\t'One user after the other'"
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l seed -d 'The seed of the random choices' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l users -d 'Work only with these existing users; those that load did not make are only read [default: all]' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l async-replica -d 'This shard has an asynchronous replica that may be promoted during the run: lost writes there count as `lost_unreplicated` and not as wrong answers; may be given more than once' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -l keep -d 'Keep the users that the run creates, in place of removing them at the end'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from clean" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from clean" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from clean" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from clean" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from clean" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from clean" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from clean" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from clean" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from clean" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from clean" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from clean" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from clean" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from clean" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand load; and __fish_seen_subcommand_from clean" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -l key -d 'Run it on the owner of this sharding key' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -l shard -d 'As --per-shard, only on this shard; may be given more than once' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -l gather -d 'For a query that cannot be split: copy the rows that it needs to one shard first, at most so many' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -l per-shard -d 'Show the answer of each shard, with the shard in front'
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -l all-shards -d 'For an INSERT, UPDATE or DELETE that names no key, or several: run it on all shards, on all of them or on none'
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -l allow-partial -d 'If a shard is down: show the result of the others, name what is missing, exit with code 6'
complete -c ringshard -n "__fish_ringshard_using_subcommand sql" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand route" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand route" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand route" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand route" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand route" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand route" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand route" -l table -d 'The table whose keys they are: all tables lie on one ring, but the key of each has its own type [default: users]' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand route" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand route" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand route" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand route" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand route" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand route" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand route" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand route" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -f -a "add" -d 'Shard a table by a key, or make it a reference table'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -f -a "list" -d 'List the tables of the cluster, with their rows on all shards'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -f -a "show" -d 'Show one table of the cluster'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and not __fish_seen_subcommand_from add list show remove" -f -a "remove" -d 'Remove a table from the cluster; its rows stay where they are'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -l key -d 'The column that decides the shard of a row' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -l unchecked-unique -d 'Accept this unique index without the key, because the application makes its values unique over all shards' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -l reference -d 'Make it a reference table: the same on every shard'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from list" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from list" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from list" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from list" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from list" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from list" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from list" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from list" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from list" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from list" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from list" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from show" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from show" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from show" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from show" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from show" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from show" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from show" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from show" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from show" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from show" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from show" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from remove" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from remove" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from remove" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from remove" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from remove" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from remove" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from remove" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from remove" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from remove" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from remove" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from remove" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from remove" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand table; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -f -a "apply" -d 'Apply a change of the schema on all shards: on the first one, then on the others'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -f -a "status" -d 'List the changes of the schema, with their state on each shard'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -f -a "show" -d 'Show the columns, constraints, indexes, triggers and rights of a table, and which shards have them'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and not __fish_seen_subcommand_from apply status show diff" -f -a "diff" -d 'Show how the tables of the cluster differ between shards; exit code 1 if they do'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -s c -l command -d 'SQL statements instead of a file' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -l name -d 'The name of the change [default: the file\'s name, or the beginning of the SQL]' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -l dry-run -d 'Show which shards have the change, without applying it'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from status" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from status" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from status" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from status" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from status" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from status" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from status" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from status" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from status" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from status" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from status" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from show" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from show" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from show" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from show" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from show" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from show" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from show" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from show" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from show" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from show" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from show" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from diff" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from diff" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from diff" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from diff" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from diff" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from diff" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from diff" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from diff" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from diff" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from diff" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from diff" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from diff" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from diff" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand schema; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -l service-file -d 'Write a service file of libpq, with a service for each shard and no passwords'
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -l haproxy -d 'Write sections of haproxy.cfg: a port for each shard, which leads to its primary'
complete -c ringshard -n "__fish_ringshard_using_subcommand shards" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand status" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand status" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand status" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand status" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand status" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand status" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand status" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand status" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand status" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand status" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand status" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand status" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand status" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -l interval -d 'The interval over which rates are measured; servers update their counters up to a second late, so rates over a shorter interval are inexact' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -l host -d 'Show this machine instead: processors, memory, disks, network, processes of Postgres and ringshard'
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -l prometheus -d 'Write the text format of Prometheus, whatever --format is; counters only, so it does not wait'
complete -c ringshard -n "__fish_ringshard_using_subcommand stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand doctor" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand doctor" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand doctor" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand doctor" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand doctor" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand doctor" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand doctor" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand doctor" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand doctor" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand doctor" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand doctor" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand doctor" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand doctor" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -l direct-url -d 'The URL of the server itself, if the other URL leads to a connection pooler; used by what needs its own session' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -l weight -d 'Its part of the ring, as a multiple of that of a shard of weight 1 [default: 1]' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand add-shard" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -l recover-from -d 'With --dead: recover its users from this replica or restored backup' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -l dead -d 'The shard is lost for good: give its arcs to the other shards at once'
complete -c ringshard -n "__fish_ringshard_using_subcommand remove-shard" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -l chunk-rows -d 'The most users in one chunk; writes to a chunk wait while it moves' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -l max-rows-per-sec -d 'The most users that move per second, in total [default: no limit]' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -l jobs -d 'The number of pairs of shards that move users at once' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -l dry-run -d 'Show the plan without moving anything'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -l ignore-standbys -d 'Do not wait for the standbys of the shards: a failover to one of them may then lose users'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -l unlocked -d 'Take no lock; for tests with two concurrent runs'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -f -a "status" -d 'Show the progress, and the process that runs it'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and not __fish_seen_subcommand_from status cancel" -f -a "cancel" -d 'Undo the change that is under way'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from status" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from status" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from status" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from status" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from status" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from status" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from status" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from status" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from status" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from status" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from status" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -l chunk-rows -d 'The most users in one chunk; writes to a chunk wait while it moves' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -l max-rows-per-sec -d 'The most users that move per second, in total [default: no limit]' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -l jobs -d 'The number of pairs of shards that move users at once' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -l ignore-standbys -d 'Do not wait for the standbys of the shards: a failover to one of them may then lose users'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -l unlocked -d 'Take no lock; for tests with two concurrent runs'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand rebalance; and __fish_seen_subcommand_from cancel" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -l deep -d 'Compare the contents of users that are on two shards'
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -l fix -d 'Move misplaced rows to their owner; a row that differs from the owner\'s goes to ringshard.quarantine'
complete -c ringshard -n "__fish_ringshard_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -f -a "list" -d 'List the known replicas, and how far each has replayed'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -f -a "add" -d 'Register a streaming standby of a shard'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and not __fish_seen_subcommand_from list add remove" -f -a "remove" -d 'Unregister a replica; its server keeps running'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from list" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from list" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from list" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from list" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from list" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from list" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from list" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from list" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from list" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from list" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from list" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from add" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from add" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from add" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from add" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from add" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from add" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from add" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from add" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from add" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from add" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from add" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from add" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from remove" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from remove" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from remove" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from remove" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from remove" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from remove" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from remove" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from remove" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from remove" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from remove" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from remove" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from remove" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from remove" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand replica; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -l replica -d 'The replica to promote [default: the one that has received the most]' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -l force -d 'Promote the replica even if it has not replayed all hand-overs of arcs; the missing ones are lost. If a stale primary answers at the shard\'s address, make it the primary again'
complete -c ringshard -n "__fish_ringshard_using_subcommand promote" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -f -a "kill-connections" -d 'End all client sessions on a shard\'s database'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -f -a "outage" -d 'Let a shard\'s database refuse all connections for a while'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and not __fish_seen_subcommand_from kill-connections outage slow" -f -a "slow" -d 'Delay the traffic between ringshard and a shard for a while'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from kill-connections" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from kill-connections" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from kill-connections" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from kill-connections" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from kill-connections" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from kill-connections" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from kill-connections" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from kill-connections" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from kill-connections" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from kill-connections" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from kill-connections" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from kill-connections" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from kill-connections" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from kill-connections" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -l for -d 'The length of the drill, such as 10s or 2m; at most 1h' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -l undo -d 'Open the database again, if a crash of its server during a drill left it closed'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from outage" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -l delay -d 'The delay in each direction, such as 50ms or 1s; at most 10s' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -l for -d 'The length of the drill, such as 10s or 2m; at most 1h' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand drill; and __fish_seen_subcommand_from slow" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -f -a "show" -d 'Show the part of the ring that each shard owns'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -f -a "locate" -d 'Show which shard owns each key, and why'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -f -a "export" -d 'Write the ring for other programs: as data, or as a module that looks owners up'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and not __fish_seen_subcommand_from show locate export simulate" -f -a "simulate" -d 'Show what a change of the ring would move; changes nothing'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -l svg -d 'Draw the ring into this file, as SVG; `-` for standard output' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -l keys -d 'With --svg: mark these keys, separated by commas' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -l add -d 'Assume that this shard is added; may be given more than once' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -l remove -d 'Assume that this shard is removed; may be given more than once' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -l vnodes -d 'Show one row for each virtual node, clockwise'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from locate" -l shards -d 'Compute with these shards of 100 virtual nodes each; needs no cluster' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from locate" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from locate" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from locate" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from locate" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from locate" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from locate" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from locate" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from locate" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from locate" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from locate" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from locate" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from locate" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from locate" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from locate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from export" -s o -l format -d 'What the ring is written as' -r -f -a "json\t'Data: shards, ranges, and some keys with their owners'
python\t'A module for Python 3.9 or later'
javascript\t'A module of Common JS for Node'
go\t'A package `ring`'
java\t'A class `Ring`, for Java 16 or later'
rust\t'A module that needs the crate `md-5`'
c\t'A file of C99 that needs libm'
plproxy\t'SQL for a proxy database of PL/Proxy'
pgdog\t'A pgdog.toml'"
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from export" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from export" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from export" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from export" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from export" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from export" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from export" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from export" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from export" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from export" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from export" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from export" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -l add -d 'Assume that this shard is added; may be given more than once' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -l remove -d 'Assume that this shard is removed; may be given more than once' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -l vnodes -d 'Assume this number of virtual nodes for each shard' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -l shards -d 'Compute with these shards of 100 virtual nodes each; needs no cluster' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand ring; and __fish_seen_subcommand_from simulate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand report" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand report" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand report" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand report" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand report" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand report" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand report" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand report" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand report" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand report" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand report" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand report" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand report" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand report" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -f -a "start" -d 'Start the private Postgres; create it first if there is none'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -f -a "stop" -d 'Stop it; its data stays'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -f -a "status" -d 'Show whether it runs, and where its files are'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and not __fish_seen_subcommand_from start stop status destroy" -f -a "destroy" -d 'Stop it and delete all its data'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from start" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from start" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from start" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from start" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from start" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from start" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from start" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from start" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from start" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from start" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from start" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from start" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from start" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from stop" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from stop" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from stop" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from stop" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from stop" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from stop" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from stop" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from stop" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from stop" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from stop" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from stop" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from stop" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from stop" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from status" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from status" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from status" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from status" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from status" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from status" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from status" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from status" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from status" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from status" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from status" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from destroy" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from destroy" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from destroy" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from destroy" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from destroy" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from destroy" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from destroy" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from destroy" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from destroy" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from destroy" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from destroy" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from destroy" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from destroy" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand local; and __fish_seen_subcommand_from destroy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and not __fish_seen_subcommand_from show" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and not __fish_seen_subcommand_from show" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and not __fish_seen_subcommand_from show" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and not __fish_seen_subcommand_from show" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and not __fish_seen_subcommand_from show" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and not __fish_seen_subcommand_from show" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and not __fish_seen_subcommand_from show" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and not __fish_seen_subcommand_from show" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and not __fish_seen_subcommand_from show" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and not __fish_seen_subcommand_from show" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and not __fish_seen_subcommand_from show" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and not __fish_seen_subcommand_from show" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and not __fish_seen_subcommand_from show" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and not __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and not __fish_seen_subcommand_from show" -f -a "show" -d 'Show each setting and its origin; passwords are redacted'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and __fish_seen_subcommand_from show" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and __fish_seen_subcommand_from show" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and __fish_seen_subcommand_from show" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and __fish_seen_subcommand_from show" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and __fish_seen_subcommand_from show" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and __fish_seen_subcommand_from show" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and __fish_seen_subcommand_from show" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and __fish_seen_subcommand_from show" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and __fish_seen_subcommand_from show" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and __fish_seen_subcommand_from show" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand completions" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand completions" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand completions" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand completions" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand completions" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand completions" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand completions" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand completions" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand completions" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand completions" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand completions" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand completions" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand completions" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand man" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand man" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand man" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand man" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand man" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand man" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand man" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand man" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand man" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand man" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand man" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand man" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand man" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand explain" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand explain" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand explain" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand explain" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand explain" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand explain" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand explain" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand explain" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand explain" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand explain" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand explain" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand explain" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand explain" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand help" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand help" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand help" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand help" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand help" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand help" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand help" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand help" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand help" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand help" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand help" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand help" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand help" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -l no-init -d 'Do not run the init file'
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -l keep-going -d 'If standard input is a script: continue after an error'
complete -c ringshard -n "__fish_ringshard_using_subcommand repl" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand tour" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand tour" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand tour" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand tour" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand tour" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand tour" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand tour" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand tour" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand tour" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand tour" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand tour" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand tour" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand tour" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand tour" -l at-once -d 'Do not wait for a key between the steps'
complete -c ringshard -n "__fish_ringshard_using_subcommand tour" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ringshard -n "__fish_ringshard_using_subcommand monitor" -l config -d 'The configuration file' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand monitor" -l cluster -d 'The cluster whose configuration is NAME.toml in the folder `clusters` beside the usual configuration' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand monitor" -s o -l format -d 'The output format' -r -f -a "auto\t'A table on a terminal, else TSV without a header'
table\t'A table'
json\t'One object, or an array of them'
jsonl\t'One object per line'
csv\t'Comma-separated values (RFC 4180)'
tsv\t'Tab-separated values, with the escapes of COPY in Postgres'
markdown\t'A table of Markdown (GitHub\'s)'"
complete -c ringshard -n "__fish_ringshard_using_subcommand monitor" -l color -d 'When to use colours' -r -f -a "auto\t'On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`'
always\t'Always'
never\t'Never'"
complete -c ringshard -n "__fish_ringshard_using_subcommand monitor" -l log-file -d 'Log to this file instead of stderr' -r -F
complete -c ringshard -n "__fish_ringshard_using_subcommand monitor" -l read-replica -d 'Whether reads may go to replicas, which may return stale data [default: never]' -r -f -a "auto\t'If the primary cannot be reached'
never\t'Never: a shard whose primary is down fails'
always\t'If the shard has a replica that answers'"
complete -c ringshard -n "__fish_ringshard_using_subcommand monitor" -l interval -d 'The interval between two samples' -r
complete -c ringshard -n "__fish_ringshard_using_subcommand monitor" -l no-header -d 'Leave out the header line; not that of export, which import reads'
complete -c ringshard -n "__fish_ringshard_using_subcommand monitor" -s x -l expanded -d 'Write one field per line'
complete -c ringshard -n "__fish_ringshard_using_subcommand monitor" -s q -l quiet -d 'Print no notices and no progress, only data and errors'
complete -c ringshard -n "__fish_ringshard_using_subcommand monitor" -s v -l verbose -d 'Log to stderr what happens; given twice: each hash, virtual node and statement too'
complete -c ringshard -n "__fish_ringshard_using_subcommand monitor" -l read-only -d 'Refuse every command that writes'
complete -c ringshard -n "__fish_ringshard_using_subcommand monitor" -s y -l yes -d 'Answer yes to every question'
complete -c ringshard -n "__fish_ringshard_using_subcommand monitor" -l no-input -d 'Ask no questions: fail where an answer is needed'
complete -c ringshard -n "__fish_ringshard_using_subcommand monitor" -s h -l help -d 'Print help (see more with \'--help\')'
