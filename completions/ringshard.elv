
use builtin;
use str;

set edit:completion:arg-completer[ringshard] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'ringshard'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'ringshard'= {
            cand -c 'Run a command; may be given more than once'
            cand -f 'Run the commands of a file, a line each; `-` for standard input'
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --keep-going 'With -c or -f: go on after an error'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand init-shards 'Create or adopt the shards: databases, tables, catalog'
            cand create-user 'Store a new user on the shard that owns its id'
            cand get-user 'Read a user from the shard that owns its id'
            cand update-user 'Change fields of a user'
            cand delete-user 'Delete a user'
            cand list-users 'List users of all shards, by id'
            cand count 'Count users, all of them or by shard or region'
            cand import 'Store the users of a file: CSV with a header, or JSON lines'
            cand export 'Write all users into a file, by id'
            cand sql 'Run one statement that reads on all shards'
            cand shards 'List the shards'
            cand doctor 'Can every shard be reached, is each set up right; what to do if not'
            cand add-shard 'Plan a shard into the ring, or give one another weight; moves nothing'
            cand remove-shard 'Plan a shard out of the ring; moves nothing'
            cand rebalance 'Move users to where the planned ring wants them, online'
            cand verify 'Every row on exactly one shard, its owner: look, and mend'
            cand ring 'Look at the ring: who owns what, and why'
            cand local 'The private Postgres that ringshard runs when it is given none'
            cand config 'The settings in force'
            cand completions 'Print the completion script of a shell'
            cand man 'Write the man pages into a folder'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'ringshard;init-shards'= {
            cand --shards 'How many shards; `shard_1` and so on are their names [default: 3]'
            cand --server 'Make the shards as databases of this server'
            cand --shard 'Take this database as a shard; may be given more than once'
            cand --vnodes 'Virtual nodes of each shard [default: 100]'
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;create-user'= {
            cand --id 'The user''s id, which decides the shard'
            cand --name 'Up to 100 characters'
            cand --region 'Up to 50 characters, such as EU'
            cand --email 'Up to 100 characters'
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;get-user'= {
            cand --id 'The user''s id'
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;update-user'= {
            cand --id 'The user''s id'
            cand --name 'The new name'
            cand --region 'The new region'
            cand --email 'The new email'
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-region 'No region any more'
            cand --no-email 'No email any more'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;delete-user'= {
            cand --id 'The user''s id'
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;list-users'= {
            cand --region 'Only users of this region'
            cand --limit 'At most so many, those with the smallest ids'
            cand --after 'Only users with a greater id than this: the last one of the page before'
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --allow-partial 'If a shard is down: show what the others have, say what is missing, exit with 6'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;count'= {
            cand --region 'Only users of this region'
            cand --by 'Break the count down'
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --allow-partial 'If a shard is down: show what the others have, say what is missing, exit with 6'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;import'= {
            cand --on-conflict 'What to do about a user that is there already, or comes twice'
            cand --rejects 'Collect bad records in this file, and go on'
            cand --batch-kib 'How large a batch gets, in KiB; for tests of what happens between two of them'
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --restart 'Forget how far an interrupted import of this file came'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;export'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --allow-partial 'If a shard is down: show what the others have, say what is missing, exit with 6'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;sql'= {
            cand --shard 'Only on this shard; may be given more than once'
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --allow-partial 'If a shard is down: show what the others have, say what is missing, exit with 6'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;shards'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;doctor'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;add-shard'= {
            cand --weight 'How much of the ring it gets, as a multiple of a shard of weight 1 [default: 1]'
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;remove-shard'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;rebalance'= {
            cand --chunk-rows 'The most users that move at once; writers of these wait for the moment'
            cand --max-rows-per-sec 'The most users that move a second, in all [default: no limit]'
            cand --jobs 'How many pairs of shards move users at once'
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --dry-run 'Show what would move, and move nothing'
            cand --unlocked 'Take no lock; for tests of two movers at once'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand status 'Show how far it is, and who is at it'
            cand cancel 'Go back to where the ring was before'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'ringshard;rebalance;status'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;rebalance;cancel'= {
            cand --chunk-rows 'The most users that move at once; writers of these wait for the moment'
            cand --max-rows-per-sec 'The most users that move a second, in all [default: no limit]'
            cand --jobs 'How many pairs of shards move users at once'
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --unlocked 'Take no lock; for tests of two movers at once'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;rebalance;help'= {
            cand status 'Show how far it is, and who is at it'
            cand cancel 'Go back to where the ring was before'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'ringshard;rebalance;help;status'= {
        }
        &'ringshard;rebalance;help;cancel'= {
        }
        &'ringshard;rebalance;help;help'= {
        }
        &'ringshard;verify'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --deep 'Compare the contents where a user lies twice'
            cand --fix 'Put each row where it belongs; what differs from its owner''s row is kept in ringshard.quarantine'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;ring'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand show 'Show each shard''s part of the ring'
            cand locate 'Show where keys lie, and why'
            cand simulate 'Show what a change would move; changes nothing'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'ringshard;ring;show'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --vnodes 'A line a virtual node, clockwise'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;ring;locate'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;ring;simulate'= {
            cand --add 'Add a shard; may be given more than once'
            cand --remove 'Remove a shard; may be given more than once'
            cand --vnodes 'Another number of virtual nodes a shard'
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;ring;help'= {
            cand show 'Show each shard''s part of the ring'
            cand locate 'Show where keys lie, and why'
            cand simulate 'Show what a change would move; changes nothing'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'ringshard;ring;help;show'= {
        }
        &'ringshard;ring;help;locate'= {
        }
        &'ringshard;ring;help;simulate'= {
        }
        &'ringshard;ring;help;help'= {
        }
        &'ringshard;local'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand start 'Start the private Postgres; make it first if there is none'
            cand stop 'Stop it; its data stays'
            cand status 'Where it is, and whether it runs'
            cand destroy 'Stop it and delete all its data'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'ringshard;local;start'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;local;stop'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;local;status'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;local;destroy'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;local;help'= {
            cand start 'Start the private Postgres; make it first if there is none'
            cand stop 'Stop it; its data stays'
            cand status 'Where it is, and whether it runs'
            cand destroy 'Stop it and delete all its data'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'ringshard;local;help;start'= {
        }
        &'ringshard;local;help;stop'= {
        }
        &'ringshard;local;help;status'= {
        }
        &'ringshard;local;help;destroy'= {
        }
        &'ringshard;local;help;help'= {
        }
        &'ringshard;config'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand show 'Show each setting and where it comes from; passwords are not shown'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'ringshard;config;show'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;config;help'= {
            cand show 'Show each setting and where it comes from; passwords are not shown'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'ringshard;config;help;show'= {
        }
        &'ringshard;config;help;help'= {
        }
        &'ringshard;completions'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;man'= {
            cand --config 'The configuration file'
            cand -o 'How to write data'
            cand --format 'How to write data'
            cand --color 'When to use colours'
            cand --log-file 'Log to this file instead of stderr'
            cand --no-header 'Leave out the header line'
            cand -x 'One field a line'
            cand --expanded 'One field a line'
            cand -q 'No notices and no progress; errors still show'
            cand --quiet 'No notices and no progress; errors still show'
            cand -v 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand --verbose 'Log what happens to stderr; twice: each hash, virtual node and statement too'
            cand -y 'Answer every question with yes'
            cand --yes 'Answer every question with yes'
            cand --no-input 'Ask nothing: fail where a question would be asked'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'ringshard;help'= {
            cand init-shards 'Create or adopt the shards: databases, tables, catalog'
            cand create-user 'Store a new user on the shard that owns its id'
            cand get-user 'Read a user from the shard that owns its id'
            cand update-user 'Change fields of a user'
            cand delete-user 'Delete a user'
            cand list-users 'List users of all shards, by id'
            cand count 'Count users, all of them or by shard or region'
            cand import 'Store the users of a file: CSV with a header, or JSON lines'
            cand export 'Write all users into a file, by id'
            cand sql 'Run one statement that reads on all shards'
            cand shards 'List the shards'
            cand doctor 'Can every shard be reached, is each set up right; what to do if not'
            cand add-shard 'Plan a shard into the ring, or give one another weight; moves nothing'
            cand remove-shard 'Plan a shard out of the ring; moves nothing'
            cand rebalance 'Move users to where the planned ring wants them, online'
            cand verify 'Every row on exactly one shard, its owner: look, and mend'
            cand ring 'Look at the ring: who owns what, and why'
            cand local 'The private Postgres that ringshard runs when it is given none'
            cand config 'The settings in force'
            cand completions 'Print the completion script of a shell'
            cand man 'Write the man pages into a folder'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'ringshard;help;init-shards'= {
        }
        &'ringshard;help;create-user'= {
        }
        &'ringshard;help;get-user'= {
        }
        &'ringshard;help;update-user'= {
        }
        &'ringshard;help;delete-user'= {
        }
        &'ringshard;help;list-users'= {
        }
        &'ringshard;help;count'= {
        }
        &'ringshard;help;import'= {
        }
        &'ringshard;help;export'= {
        }
        &'ringshard;help;sql'= {
        }
        &'ringshard;help;shards'= {
        }
        &'ringshard;help;doctor'= {
        }
        &'ringshard;help;add-shard'= {
        }
        &'ringshard;help;remove-shard'= {
        }
        &'ringshard;help;rebalance'= {
            cand status 'Show how far it is, and who is at it'
            cand cancel 'Go back to where the ring was before'
        }
        &'ringshard;help;rebalance;status'= {
        }
        &'ringshard;help;rebalance;cancel'= {
        }
        &'ringshard;help;verify'= {
        }
        &'ringshard;help;ring'= {
            cand show 'Show each shard''s part of the ring'
            cand locate 'Show where keys lie, and why'
            cand simulate 'Show what a change would move; changes nothing'
        }
        &'ringshard;help;ring;show'= {
        }
        &'ringshard;help;ring;locate'= {
        }
        &'ringshard;help;ring;simulate'= {
        }
        &'ringshard;help;local'= {
            cand start 'Start the private Postgres; make it first if there is none'
            cand stop 'Stop it; its data stays'
            cand status 'Where it is, and whether it runs'
            cand destroy 'Stop it and delete all its data'
        }
        &'ringshard;help;local;start'= {
        }
        &'ringshard;help;local;stop'= {
        }
        &'ringshard;help;local;status'= {
        }
        &'ringshard;help;local;destroy'= {
        }
        &'ringshard;help;config'= {
            cand show 'Show each setting and where it comes from; passwords are not shown'
        }
        &'ringshard;help;config;show'= {
        }
        &'ringshard;help;completions'= {
        }
        &'ringshard;help;man'= {
        }
        &'ringshard;help;help'= {
        }
    ]
    $completions[$command]
}
