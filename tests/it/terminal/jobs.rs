//! Commands beside the prompt: `&`, `jobs`, `kill`.

use crate::support::clusters::filled;
use crate::support::prompts::repl_at_prompt;

#[test]
fn a_drill_runs_beside_the_prompt() {
    let test = filled(50);
    let mut terminal = repl_at_prompt(&test, 120, &[]);
    terminal.enter_line("drill outage shard_2 --for 10m &");
    terminal.wait_for_text("[1] ended with exit code 3: drill outage shard_2 --for 10m");
    terminal.enter_line("drill outage shard_2 --for 10m --yes &");
    terminal.wait_for_text("[2] Shard `shard_2` refuses connections for 600 s");
    terminal.enter_line("jobs");
    terminal.wait_for_text(" ┆ drill outage shard_2 --for 10m --yes");
    terminal.enter_line("count --by shard --allow-partial -o csv");
    terminal.wait_for_text("error: the result is incomplete: missing `shard_2`");
    terminal.enter_line("kill 1");
    terminal.wait_for_text("error: no job 1 runs");
    terminal.enter_line("kill %2");
    terminal.wait_for_text("[2] ended with exit code 6: drill outage shard_2 --for 10m --yes");
    terminal.enter_line("clear");
    terminal.enter_line("count -o jsonl &");
    terminal.wait_for_text("[3] {\"rows\": 49}");
    terminal.wait_for_text("[3] done: count -o jsonl");
    terminal.enter_line("jobs");
    terminal.wait_for_text("no job runs");
    terminal.enter_line("set format json &");
    terminal.wait_for_text("error: only a command that needs neither the screen nor this session");
    terminal.enter_line("add-shard shard_4 postgresql://app:secret@/shard_4 &");
    terminal.wait_for_text("error: a command with a password does not run beside the prompt");
    // The end of the session ends what runs beside it.
    terminal.enter_line("drill slow shard_1 --delay 1ms --for 10m --yes &");
    terminal.wait_for_text("[4] Traffic to shard `shard_1` is delayed");
    let (code, seen) = terminal.exit_at_prompt();
    assert_eq!(code, 0);
    assert!(seen.contains("[4] is asked to stop: drill slow shard_1"), "{seen}");
    assert!(seen.contains("[4] ended with exit code 6"), "{seen}");
    test.run(&["shards"]).success();
}
