
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'ringshard' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'ringshard'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'ringshard' {
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Run a command; may be given more than once')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Run the commands of a file, a line each; `-` for standard input')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--keep-going', '--keep-going', [CompletionResultType]::ParameterName, 'With -c or -f: go on after an error')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('init-shards', 'init-shards', [CompletionResultType]::ParameterValue, 'Create or adopt the shards: databases, tables, catalog')
            [CompletionResult]::new('create-user', 'create-user', [CompletionResultType]::ParameterValue, 'Store a new user on the shard that owns its id')
            [CompletionResult]::new('get-user', 'get-user', [CompletionResultType]::ParameterValue, 'Read a user from the shard that owns its id')
            [CompletionResult]::new('update-user', 'update-user', [CompletionResultType]::ParameterValue, 'Change fields of a user')
            [CompletionResult]::new('delete-user', 'delete-user', [CompletionResultType]::ParameterValue, 'Delete a user')
            [CompletionResult]::new('list-users', 'list-users', [CompletionResultType]::ParameterValue, 'List users of all shards, by id')
            [CompletionResult]::new('count', 'count', [CompletionResultType]::ParameterValue, 'Count users, all of them or by shard or region')
            [CompletionResult]::new('import', 'import', [CompletionResultType]::ParameterValue, 'Store the users of a file: CSV with a header, or JSON lines')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Write all users into a file, by id')
            [CompletionResult]::new('sql', 'sql', [CompletionResultType]::ParameterValue, 'Run one statement that reads on all shards')
            [CompletionResult]::new('shards', 'shards', [CompletionResultType]::ParameterValue, 'List the shards')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Can every shard be reached, is each set up right; what to do if not')
            [CompletionResult]::new('add-shard', 'add-shard', [CompletionResultType]::ParameterValue, 'Plan a shard into the ring, or give one another weight; moves nothing')
            [CompletionResult]::new('remove-shard', 'remove-shard', [CompletionResultType]::ParameterValue, 'Plan a shard out of the ring; moves nothing')
            [CompletionResult]::new('rebalance', 'rebalance', [CompletionResultType]::ParameterValue, 'Move users to where the planned ring wants them, online')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Every row on exactly one shard, its owner: look, and mend')
            [CompletionResult]::new('ring', 'ring', [CompletionResultType]::ParameterValue, 'Look at the ring: who owns what, and why')
            [CompletionResult]::new('local', 'local', [CompletionResultType]::ParameterValue, 'The private Postgres that ringshard runs when it is given none')
            [CompletionResult]::new('config', 'config', [CompletionResultType]::ParameterValue, 'The settings in force')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print the completion script of a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Write the man pages into a folder')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ringshard;init-shards' {
            [CompletionResult]::new('--shards', '--shards', [CompletionResultType]::ParameterName, 'How many shards; `shard_1` and so on are their names [default: 3]')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Make the shards as databases of this server')
            [CompletionResult]::new('--shard', '--shard', [CompletionResultType]::ParameterName, 'Take this database as a shard; may be given more than once')
            [CompletionResult]::new('--vnodes', '--vnodes', [CompletionResultType]::ParameterName, 'Virtual nodes of each shard [default: 100]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;create-user' {
            [CompletionResult]::new('--id', '--id', [CompletionResultType]::ParameterName, 'The user''s id, which decides the shard')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Up to 100 characters')
            [CompletionResult]::new('--region', '--region', [CompletionResultType]::ParameterName, 'Up to 50 characters, such as EU')
            [CompletionResult]::new('--email', '--email', [CompletionResultType]::ParameterName, 'Up to 100 characters')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;get-user' {
            [CompletionResult]::new('--id', '--id', [CompletionResultType]::ParameterName, 'The user''s id')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;update-user' {
            [CompletionResult]::new('--id', '--id', [CompletionResultType]::ParameterName, 'The user''s id')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'The new name')
            [CompletionResult]::new('--region', '--region', [CompletionResultType]::ParameterName, 'The new region')
            [CompletionResult]::new('--email', '--email', [CompletionResultType]::ParameterName, 'The new email')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-region', '--no-region', [CompletionResultType]::ParameterName, 'No region any more')
            [CompletionResult]::new('--no-email', '--no-email', [CompletionResultType]::ParameterName, 'No email any more')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;delete-user' {
            [CompletionResult]::new('--id', '--id', [CompletionResultType]::ParameterName, 'The user''s id')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;list-users' {
            [CompletionResult]::new('--region', '--region', [CompletionResultType]::ParameterName, 'Only users of this region')
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'At most so many, those with the smallest ids')
            [CompletionResult]::new('--after', '--after', [CompletionResultType]::ParameterName, 'Only users with a greater id than this: the last one of the page before')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--allow-partial', '--allow-partial', [CompletionResultType]::ParameterName, 'If a shard is down: show what the others have, say what is missing, exit with 6')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;count' {
            [CompletionResult]::new('--region', '--region', [CompletionResultType]::ParameterName, 'Only users of this region')
            [CompletionResult]::new('--by', '--by', [CompletionResultType]::ParameterName, 'Break the count down')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--allow-partial', '--allow-partial', [CompletionResultType]::ParameterName, 'If a shard is down: show what the others have, say what is missing, exit with 6')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;import' {
            [CompletionResult]::new('--on-conflict', '--on-conflict', [CompletionResultType]::ParameterName, 'What to do about a user that is there already, or comes twice')
            [CompletionResult]::new('--rejects', '--rejects', [CompletionResultType]::ParameterName, 'Collect bad records in this file, and go on')
            [CompletionResult]::new('--batch-kib', '--batch-kib', [CompletionResultType]::ParameterName, 'How large a batch gets, in KiB; for tests of what happens between two of them')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--restart', '--restart', [CompletionResultType]::ParameterName, 'Forget how far an interrupted import of this file came')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;export' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--allow-partial', '--allow-partial', [CompletionResultType]::ParameterName, 'If a shard is down: show what the others have, say what is missing, exit with 6')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;sql' {
            [CompletionResult]::new('--shard', '--shard', [CompletionResultType]::ParameterName, 'Only on this shard; may be given more than once')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--allow-partial', '--allow-partial', [CompletionResultType]::ParameterName, 'If a shard is down: show what the others have, say what is missing, exit with 6')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;shards' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;doctor' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;add-shard' {
            [CompletionResult]::new('--weight', '--weight', [CompletionResultType]::ParameterName, 'How much of the ring it gets, as a multiple of a shard of weight 1 [default: 1]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;remove-shard' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;rebalance' {
            [CompletionResult]::new('--chunk-rows', '--chunk-rows', [CompletionResultType]::ParameterName, 'The most users that move at once; writers of these wait for the moment')
            [CompletionResult]::new('--max-rows-per-sec', '--max-rows-per-sec', [CompletionResultType]::ParameterName, 'The most users that move a second, in all [default: no limit]')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'How many pairs of shards move users at once')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Show what would move, and move nothing')
            [CompletionResult]::new('--unlocked', '--unlocked', [CompletionResultType]::ParameterName, 'Take no lock; for tests of two movers at once')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show how far it is, and who is at it')
            [CompletionResult]::new('cancel', 'cancel', [CompletionResultType]::ParameterValue, 'Go back to where the ring was before')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ringshard;rebalance;status' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;rebalance;cancel' {
            [CompletionResult]::new('--chunk-rows', '--chunk-rows', [CompletionResultType]::ParameterName, 'The most users that move at once; writers of these wait for the moment')
            [CompletionResult]::new('--max-rows-per-sec', '--max-rows-per-sec', [CompletionResultType]::ParameterName, 'The most users that move a second, in all [default: no limit]')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'How many pairs of shards move users at once')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--unlocked', '--unlocked', [CompletionResultType]::ParameterName, 'Take no lock; for tests of two movers at once')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;rebalance;help' {
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show how far it is, and who is at it')
            [CompletionResult]::new('cancel', 'cancel', [CompletionResultType]::ParameterValue, 'Go back to where the ring was before')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ringshard;rebalance;help;status' {
            break
        }
        'ringshard;rebalance;help;cancel' {
            break
        }
        'ringshard;rebalance;help;help' {
            break
        }
        'ringshard;verify' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--deep', '--deep', [CompletionResultType]::ParameterName, 'Compare the contents where a user lies twice')
            [CompletionResult]::new('--fix', '--fix', [CompletionResultType]::ParameterName, 'Put each row where it belongs; what differs from its owner''s row is kept in ringshard.quarantine')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;ring' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show each shard''s part of the ring')
            [CompletionResult]::new('locate', 'locate', [CompletionResultType]::ParameterValue, 'Show where keys lie, and why')
            [CompletionResult]::new('simulate', 'simulate', [CompletionResultType]::ParameterValue, 'Show what a change would move; changes nothing')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ringshard;ring;show' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--vnodes', '--vnodes', [CompletionResultType]::ParameterName, 'A line a virtual node, clockwise')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;ring;locate' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;ring;simulate' {
            [CompletionResult]::new('--add', '--add', [CompletionResultType]::ParameterName, 'Add a shard; may be given more than once')
            [CompletionResult]::new('--remove', '--remove', [CompletionResultType]::ParameterName, 'Remove a shard; may be given more than once')
            [CompletionResult]::new('--vnodes', '--vnodes', [CompletionResultType]::ParameterName, 'Another number of virtual nodes a shard')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;ring;help' {
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show each shard''s part of the ring')
            [CompletionResult]::new('locate', 'locate', [CompletionResultType]::ParameterValue, 'Show where keys lie, and why')
            [CompletionResult]::new('simulate', 'simulate', [CompletionResultType]::ParameterValue, 'Show what a change would move; changes nothing')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ringshard;ring;help;show' {
            break
        }
        'ringshard;ring;help;locate' {
            break
        }
        'ringshard;ring;help;simulate' {
            break
        }
        'ringshard;ring;help;help' {
            break
        }
        'ringshard;local' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('start', 'start', [CompletionResultType]::ParameterValue, 'Start the private Postgres; make it first if there is none')
            [CompletionResult]::new('stop', 'stop', [CompletionResultType]::ParameterValue, 'Stop it; its data stays')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Where it is, and whether it runs')
            [CompletionResult]::new('destroy', 'destroy', [CompletionResultType]::ParameterValue, 'Stop it and delete all its data')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ringshard;local;start' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;local;stop' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;local;status' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;local;destroy' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;local;help' {
            [CompletionResult]::new('start', 'start', [CompletionResultType]::ParameterValue, 'Start the private Postgres; make it first if there is none')
            [CompletionResult]::new('stop', 'stop', [CompletionResultType]::ParameterValue, 'Stop it; its data stays')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Where it is, and whether it runs')
            [CompletionResult]::new('destroy', 'destroy', [CompletionResultType]::ParameterValue, 'Stop it and delete all its data')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ringshard;local;help;start' {
            break
        }
        'ringshard;local;help;stop' {
            break
        }
        'ringshard;local;help;status' {
            break
        }
        'ringshard;local;help;destroy' {
            break
        }
        'ringshard;local;help;help' {
            break
        }
        'ringshard;config' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show each setting and where it comes from; passwords are not shown')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ringshard;config;show' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;config;help' {
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show each setting and where it comes from; passwords are not shown')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ringshard;config;help;show' {
            break
        }
        'ringshard;config;help;help' {
            break
        }
        'ringshard;completions' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;man' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to write data')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colours')
            [CompletionResult]::new('--log-file', '--log-file', [CompletionResultType]::ParameterName, 'Log to this file instead of stderr')
            [CompletionResult]::new('--no-header', '--no-header', [CompletionResultType]::ParameterName, 'Leave out the header line')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('--expanded', '--expanded', [CompletionResultType]::ParameterName, 'One field a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'No notices and no progress; errors still show')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Log what happens to stderr; twice: each hash, virtual node and statement too')
            [CompletionResult]::new('-y', '-y', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Answer every question with yes')
            [CompletionResult]::new('--no-input', '--no-input', [CompletionResultType]::ParameterName, 'Ask nothing: fail where a question would be asked')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'ringshard;help' {
            [CompletionResult]::new('init-shards', 'init-shards', [CompletionResultType]::ParameterValue, 'Create or adopt the shards: databases, tables, catalog')
            [CompletionResult]::new('create-user', 'create-user', [CompletionResultType]::ParameterValue, 'Store a new user on the shard that owns its id')
            [CompletionResult]::new('get-user', 'get-user', [CompletionResultType]::ParameterValue, 'Read a user from the shard that owns its id')
            [CompletionResult]::new('update-user', 'update-user', [CompletionResultType]::ParameterValue, 'Change fields of a user')
            [CompletionResult]::new('delete-user', 'delete-user', [CompletionResultType]::ParameterValue, 'Delete a user')
            [CompletionResult]::new('list-users', 'list-users', [CompletionResultType]::ParameterValue, 'List users of all shards, by id')
            [CompletionResult]::new('count', 'count', [CompletionResultType]::ParameterValue, 'Count users, all of them or by shard or region')
            [CompletionResult]::new('import', 'import', [CompletionResultType]::ParameterValue, 'Store the users of a file: CSV with a header, or JSON lines')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Write all users into a file, by id')
            [CompletionResult]::new('sql', 'sql', [CompletionResultType]::ParameterValue, 'Run one statement that reads on all shards')
            [CompletionResult]::new('shards', 'shards', [CompletionResultType]::ParameterValue, 'List the shards')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Can every shard be reached, is each set up right; what to do if not')
            [CompletionResult]::new('add-shard', 'add-shard', [CompletionResultType]::ParameterValue, 'Plan a shard into the ring, or give one another weight; moves nothing')
            [CompletionResult]::new('remove-shard', 'remove-shard', [CompletionResultType]::ParameterValue, 'Plan a shard out of the ring; moves nothing')
            [CompletionResult]::new('rebalance', 'rebalance', [CompletionResultType]::ParameterValue, 'Move users to where the planned ring wants them, online')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Every row on exactly one shard, its owner: look, and mend')
            [CompletionResult]::new('ring', 'ring', [CompletionResultType]::ParameterValue, 'Look at the ring: who owns what, and why')
            [CompletionResult]::new('local', 'local', [CompletionResultType]::ParameterValue, 'The private Postgres that ringshard runs when it is given none')
            [CompletionResult]::new('config', 'config', [CompletionResultType]::ParameterValue, 'The settings in force')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print the completion script of a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Write the man pages into a folder')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'ringshard;help;init-shards' {
            break
        }
        'ringshard;help;create-user' {
            break
        }
        'ringshard;help;get-user' {
            break
        }
        'ringshard;help;update-user' {
            break
        }
        'ringshard;help;delete-user' {
            break
        }
        'ringshard;help;list-users' {
            break
        }
        'ringshard;help;count' {
            break
        }
        'ringshard;help;import' {
            break
        }
        'ringshard;help;export' {
            break
        }
        'ringshard;help;sql' {
            break
        }
        'ringshard;help;shards' {
            break
        }
        'ringshard;help;doctor' {
            break
        }
        'ringshard;help;add-shard' {
            break
        }
        'ringshard;help;remove-shard' {
            break
        }
        'ringshard;help;rebalance' {
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show how far it is, and who is at it')
            [CompletionResult]::new('cancel', 'cancel', [CompletionResultType]::ParameterValue, 'Go back to where the ring was before')
            break
        }
        'ringshard;help;rebalance;status' {
            break
        }
        'ringshard;help;rebalance;cancel' {
            break
        }
        'ringshard;help;verify' {
            break
        }
        'ringshard;help;ring' {
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show each shard''s part of the ring')
            [CompletionResult]::new('locate', 'locate', [CompletionResultType]::ParameterValue, 'Show where keys lie, and why')
            [CompletionResult]::new('simulate', 'simulate', [CompletionResultType]::ParameterValue, 'Show what a change would move; changes nothing')
            break
        }
        'ringshard;help;ring;show' {
            break
        }
        'ringshard;help;ring;locate' {
            break
        }
        'ringshard;help;ring;simulate' {
            break
        }
        'ringshard;help;local' {
            [CompletionResult]::new('start', 'start', [CompletionResultType]::ParameterValue, 'Start the private Postgres; make it first if there is none')
            [CompletionResult]::new('stop', 'stop', [CompletionResultType]::ParameterValue, 'Stop it; its data stays')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Where it is, and whether it runs')
            [CompletionResult]::new('destroy', 'destroy', [CompletionResultType]::ParameterValue, 'Stop it and delete all its data')
            break
        }
        'ringshard;help;local;start' {
            break
        }
        'ringshard;help;local;stop' {
            break
        }
        'ringshard;help;local;status' {
            break
        }
        'ringshard;help;local;destroy' {
            break
        }
        'ringshard;help;config' {
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show each setting and where it comes from; passwords are not shown')
            break
        }
        'ringshard;help;config;show' {
            break
        }
        'ringshard;help;completions' {
            break
        }
        'ringshard;help;man' {
            break
        }
        'ringshard;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
