//! Single facts about sender and endpoint, told as dialogues with literal datagrams and literal times.

use crate::world::{Plan, SERVER, World, noise};
use homing::endpoint::Config;
use homing::packet::Spelling;
use homing::session::Mode;
use homing::session::stop_and_wait::{Outcome, start_id};
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::time::Duration;

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 9, 9)), 5000);

fn empty_world() -> World {
    World::with_config(&[], 0, Config { bufsize: 1024, ..Config::default() })
}

/// Says a line to the server and gives its answers.
fn say(world: &mut World, line: &[u8]) -> Vec<String> {
    world.inject(PEER, line);
    world.answers_to(PEER).iter().map(|answer| String::from_utf8_lossy(answer).into_owned()).collect()
}

fn wait(world: &mut World, seconds: f64) {
    let end = world.now + Duration::from_secs_f64(seconds);
    world.run_on(Duration::from_secs_f64(seconds));
    world.now = end;
}

/// A start that offers, padded as ours is.
fn offering_start(name: &str, size: usize) -> Vec<u8> {
    let bare = format!("s | 1207959600 | {name} | ");
    format!("{bare}{size:0width$}", width = 128 - bare.len()).into_bytes()
}

fn checksum(seq: u64, content: &[u8], start: &[u8]) -> Vec<u8> {
    let sha256: String = Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect();
    let start: String = start_id(start).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("c | {seq} | sha256:{sha256} | start:{start}").into_bytes()
}

#[test]
fn a_plain_exchange_reads_as_on_the_slides() {
    let mut world = empty_world();
    assert_eq!(say(&mut world, b"s | 0 | two.txt | 6"), ["a | 1 | 1024"]);
    assert_eq!(say(&mut world, b"d | 1 | abc"), ["a | 2"]);
    assert_eq!(say(&mut world, b"d | 2 | def"), ["a | 3"]);
    assert_eq!(world.disk.files["two.txt"], b"abcdef");
    assert_eq!(say(&mut world, b"d | 2 | def"), ["a | 3"], "the last chunk is acknowledged again after the end");
    assert_eq!(say(&mut world, b"d | 1 | abc"), Vec::<String>::new(), "an earlier one is not");
    assert_eq!(world.disk.published["two.txt"], 1);
}

#[test]
fn first_numbers_and_steps_of_plain_peers_differ_and_all_are_understood() {
    for (first, second) in [(39, 40), (40, 41), (41, 43)] {
        let mut world = empty_world();
        assert_eq!(say(&mut world, b"s | 39 | f | 2"), ["a | 40 | 1024"]);
        assert_eq!(say(&mut world, format!("d | {first} | x").as_bytes()), [format!("a | {}", first + 1)]);
        assert_eq!(say(&mut world, format!("d | {second} | y").as_bytes()), [format!("a | {}", second + 1)]);
        assert_eq!(world.disk.files["f"], b"xy");
    }
}

#[test]
fn a_skipped_chunk_is_never_taken_for_the_next() {
    let mut world = empty_world();
    say(&mut world, b"s | 0 | f | 3");
    say(&mut world, b"d | 1 | a");
    assert_eq!(say(&mut world, b"d | 3 | c"), Vec::<String>::new());
    assert_eq!(say(&mut world, b"d | 2 | b"), ["a | 3"]);
}

#[test]
fn compact_peers_that_alternate_and_that_count_are_told_apart_by_their_second_chunk() {
    let mut world = empty_world();
    assert_eq!(say(&mut world, b"s|0|a.bin|3"), ["a|1|20480"]);
    assert_eq!(say(&mut world, b"d|1|x"), ["a|02"]);
    assert_eq!(say(&mut world, b"d|1|x"), ["a|02"]);
    assert_eq!(say(&mut world, b"d|0|y"), ["a|1"]);
    assert_eq!(say(&mut world, b"d|1|z"), ["a|0"]);
    assert_eq!(world.disk.files["a.bin"], b"xyz");
    let mut world = empty_world();
    assert_eq!(say(&mut world, b"s|00000|jpg|3"), ["a|1|20480"]);
    assert_eq!(say(&mut world, b"d|00001|x"), ["a|2"]);
    assert_eq!(say(&mut world, b"d|00002|y"), ["a|3"]);
    assert_eq!(say(&mut world, b"d|00003|z"), ["a|4"]);
    assert_eq!(world.disk.files["jpg"], b"xyz");
    let mut world = empty_world();
    assert_eq!(say(&mut world, b"s|0|f|0"), ["a|1"], "no answer is longer than what it answers");
}

#[test]
fn an_alternating_slip_is_noticed_where_it_can_be() {
    let mut world = empty_world();
    say(&mut world, b"s|0|f.bin|9");
    say(&mut world, b"d|1|abcd");
    assert_eq!(say(&mut world, b"d|0|ab"), Vec::<String>::new(), "only the last chunk may be shorter");
    assert_eq!(world.failed.len(), 1);
    assert!(world.disk.files.is_empty());
}

#[test]
fn an_identical_start_is_answered_before_data_and_after_the_end_and_never_between() {
    let mut world = empty_world();
    let start = b"s | 0 | f | 6";
    assert_eq!(say(&mut world, start), ["a | 1 | 1024"]);
    assert_eq!(say(&mut world, start), ["a | 1 | 1024"]);
    say(&mut world, b"d | 1 | abc");
    assert_eq!(say(&mut world, start), Vec::<String>::new());
    assert_eq!(say(&mut world, b"d | 2 | def"), ["a | 3"], "and nothing was reset");
    assert_eq!(say(&mut world, start), ["a | 1 | 1024"]);
    assert_eq!(say(&mut world, b"d | 1 | late"), Vec::<String>::new(), "too soon to begin anew");
    wait(&mut world, 5.5);
    assert_eq!(say(&mut world, b"d | 1 | ABC"), ["a | 2"]);
    assert_eq!(say(&mut world, b"d | 2 | DEF"), ["a | 3"]);
    assert_eq!(world.disk.files["f"], b"ABCDEF");
}

#[test]
fn an_unfinished_transfer_begins_anew_after_ten_quiet_seconds() {
    let mut world = empty_world();
    let start = b"s | 0 | f | 4";
    say(&mut world, start);
    say(&mut world, b"d | 1 | ab");
    wait(&mut world, 9.0);
    assert_eq!(say(&mut world, start), Vec::<String>::new());
    wait(&mut world, 1.5);
    assert_eq!(say(&mut world, start), ["a | 1 | 1024"]);
    assert_eq!(say(&mut world, b"d | 1 | AB"), ["a | 2"]);
    assert_eq!(say(&mut world, b"d | 2 | CD"), ["a | 3"]);
    assert_eq!(world.disk.files["f"], b"ABCD");
}

#[test]
fn another_start_of_the_same_address_takes_over_with_its_first_chunk() {
    let mut world = empty_world();
    say(&mut world, b"s | 0 | old | 6");
    say(&mut world, b"d | 1 | abc");
    assert_eq!(say(&mut world, b"s | 0 | new | 3"), ["a | 1 | 1024"]);
    assert_eq!(say(&mut world, b"d | 2 | def"), ["a | 3"], "the old one still runs");
    assert_eq!(say(&mut world, b"d | 1 | new"), ["a | 2"]);
    assert_eq!(world.disk.files["new"], b"new");
}

#[test]
fn an_empty_file_is_made_at_once_and_never_replaces_a_full_one_by_a_start_alone() {
    let mut world = empty_world();
    assert_eq!(say(&mut world, b"s | 0 | empty | 0"), ["a | 1 | 1024"]);
    assert_eq!(world.disk.files["empty"], b"");
    assert_eq!(say(&mut world, b"d | 1 | "), ["a | 2"]);
    world.disk.files.insert("full".into(), b"content".to_vec());
    assert_eq!(say(&mut world, b"s | 0 | full | 0"), ["a | 1 | 1024"]);
    assert_eq!(world.disk.files["full"], b"content");
    assert_eq!(say(&mut world, b"d | 1 | "), ["a | 2"]);
    assert_eq!(world.disk.files["full"], b"", "an empty chunk says that it is meant");
}

#[test]
fn an_offer_is_answered_with_words_and_counted_exactly() {
    let mut world = empty_world();
    let start = offering_start("f", 4);
    assert_eq!(say(&mut world, &start), ["a | 1207959601 | 1024 | homing/1 checked"]);
    assert_eq!(say(&mut world, b"d | 1207959600 | no"), Vec::<String>::new());
    assert_eq!(say(&mut world, b"d | 1207959602 | no"), Vec::<String>::new());
    assert_eq!(say(&mut world, b"d | 1207959601 | ab"), ["a | 1207959602"]);
    assert_eq!(say(&mut world, b"d | 1207959602 | cd"), ["a | 1207959603"]);
    assert!(world.disk.files.is_empty(), "nothing appears before the checksum");
    let close = checksum(1_207_959_603, b"abcd", &start);
    assert_eq!(say(&mut world, &close), ["a | 1207959604"]);
    assert_eq!(world.disk.files["f"], b"abcd");
    assert_eq!(say(&mut world, &close), ["a | 1207959604"], "the same answer for a minute");
    assert_eq!(world.disk.published["f"], 1);
    wait(&mut world, 61.5);
    assert_eq!(say(&mut world, &close), Vec::<String>::new());
}

#[test]
fn a_wrong_checksum_or_start_is_refused_and_nothing_appears() {
    for wrong_start in [false, true] {
        let mut world = empty_world();
        let start = offering_start("f", 2);
        say(&mut world, &start);
        say(&mut world, b"d | 1207959601 | ab");
        let other = if wrong_start { offering_start("g", 2) } else { start };
        let content: &[u8] = if wrong_start { b"ab" } else { b"xx" };
        let answers = say(&mut world, &checksum(1_207_959_602, content, &other));
        assert_eq!(answers.len(), 1);
        assert!(answers[0].starts_with("e | 1207959602 | "), "{answers:?}");
        assert!(world.disk.files.is_empty());
    }
}

#[test]
fn a_file_that_is_just_getting_its_name_is_not_said_to_have_failed() {
    let stop = b"e | 1207959601 | client: interrupted".to_vec();
    let damaged = checksum(1_207_959_602, b"ab", &offering_start("other", 2));
    for late in [stop, damaged] {
        let mut world = empty_world();
        let start = offering_start("f", 2);
        say(&mut world, &start);
        say(&mut world, b"d | 1207959601 | ab");
        world.disk.delay = Duration::from_secs(1);
        let close = checksum(1_207_959_602, b"ab", &start);
        assert!(say(&mut world, &close).is_empty());
        assert!(say(&mut world, &late).is_empty());
        wait(&mut world, 1.5);
        assert_eq!((world.disk.files.len(), world.finished.len(), world.failed.len()), (1, 1, 0));
        assert_eq!(say(&mut world, &close), ["a | 1207959603"]);
    }
}

#[test]
fn a_late_start_of_an_earlier_file_does_not_touch_the_one_under_way() {
    let mut world = empty_world();
    for line in [&b"s | 0 | A1 | 4"[..], b"d | 1 | AA", b"d | 2 | aa", b"s | 0 | B1 | 6", b"d | 1 | BB"] {
        assert_eq!(say(&mut world, line).len(), 1);
    }
    wait(&mut world, 5.7);
    assert!(say(&mut world, b"s | 0 | A1 | 4").is_empty());
    assert_eq!(say(&mut world, b"d | 1 | BB"), ["a | 2"]);
    assert_eq!(say(&mut world, b"d | 2 | bb"), ["a | 3"]);
    assert_eq!(say(&mut world, b"d | 3 | .."), ["a | 4"]);
    assert_eq!((&world.disk.files["A1"][..], &world.disk.files["B1"][..]), (&b"AAaa"[..], &b"BBbb.."[..]));
}

#[test]
fn a_checksum_after_the_end_is_confirmed_only_if_it_is_the_same() {
    let mut world = empty_world();
    let start = offering_start("f", 2);
    say(&mut world, &start);
    say(&mut world, b"d | 1207959601 | ab");
    assert_eq!(say(&mut world, &checksum(1_207_959_602, b"ab", &start)), ["a | 1207959603"]);
    assert!(say(&mut world, &checksum(1_207_959_602, b"zz", &start)).is_empty());
    assert_eq!(say(&mut world, &checksum(1_207_959_602, b"ab", &start)), ["a | 1207959603"]);
}

#[test]
fn an_offered_transfer_begins_anew_as_a_plain_one_does() {
    let mut world = empty_world();
    let start = offering_start("f", 4);
    let send = |world: &mut World, content: &[u8; 4]| {
        assert_eq!(say(world, &start).len(), 1);
        for (seq, chunk) in [(1_207_959_601_u64, &content[..2]), (1_207_959_602, &content[2..])] {
            let datagram = [format!("d | {seq} | ").as_bytes(), chunk].concat();
            assert_eq!(say(world, &datagram), [format!("a | {}", seq + 1)]);
        }
        assert_eq!(say(world, &checksum(1_207_959_603, content, &start)), ["a | 1207959604"]);
    };
    send(&mut world, b"abcd");
    wait(&mut world, 6.0);
    send(&mut world, b"ABCD");
    assert_eq!(world.disk.files["f"], b"ABCD");
}

#[test]
fn a_damaged_repeat_of_the_start_ends_in_a_refusal_not_in_silence() {
    let mut world = empty_world();
    let (start, damaged) = (offering_start("aaa", 2), offering_start("aab", 2));
    say(&mut world, &start);
    say(&mut world, &damaged);
    assert_eq!(say(&mut world, b"d | 1207959601 | ab"), ["a | 1207959602"]);
    let answers = say(&mut world, &checksum(1_207_959_602, b"ab", &start));
    assert!(answers.len() == 1 && answers[0].starts_with("e | 1207959602 | "), "{answers:?}");
    assert!(world.disk.files.is_empty());
}

#[test]
fn a_peer_that_does_not_wait_does_not_fill_our_memory() {
    let mut world = empty_world();
    say(&mut world, b"s | 0 | f | 100000000");
    world.disk.delay = Duration::from_secs(60);
    let chunk = vec![b'x'; 60_000];
    let mut answered = 0;
    for seq in 1..500 {
        let datagram = [format!("d | {seq} | ").as_bytes(), &chunk].concat();
        answered += say(&mut world, &datagram).len();
    }
    assert!(answered <= 6, "{answered} chunks were taken while the disk stood still");
}

#[test]
fn a_plain_start_that_the_store_refuses_stays_unanswered() {
    let mut world = empty_world();
    world.disk.refuses = true;
    for _ in 0..3 {
        assert!(say(&mut world, b"s | 0 | nofolder/x | 5").is_empty());
    }
}

#[test]
fn an_unsafe_name_is_refused_to_ours_and_met_with_silence_from_others() {
    let mut world = empty_world();
    let answers = say(&mut world, &offering_start("../f", 2));
    assert!(answers.len() == 1 && answers[0].starts_with("e | 1207959600 | "), "{answers:?}");
    assert_eq!(say(&mut world, b"s | 0 | ../f | 2"), Vec::<String>::new());
}

#[test]
fn a_full_server_refuses_each_peer_in_its_own_way() {
    let mut world = World::with_config(&[], 0, Config { max_sessions: 1, ..Config::default() });
    say(&mut world, b"s | 0 | f | 6");
    say(&mut world, b"d | 1 | abc");
    let other = SocketAddr::new(PEER.ip(), 6000);
    let mut ask = |line: &[u8]| {
        world.inject(other, line);
        world.answers_to(other)
    };
    assert_eq!(ask(b"s|0|f|1"), [b"n|1"]);
    assert_eq!(ask(b"s | 0 | g | 1"), Vec::<Vec<u8>>::new());
    assert!(ask(&offering_start("h", 1))[0].starts_with(b"e | 1207959600 | the server is full"));
}

#[test]
fn what_is_no_question_gets_no_answer() {
    let mut world = empty_world();
    for line in [
        &b""[..],
        b"a | 1 | 1024",
        b"a|1",
        b"n|1",
        b"e | 1 | x",
        b"hello",
        b"d | 1 | x",
        b"d|1|x",
        b"\x80\x01",
        b"s | x | y | z",
    ] {
        assert_eq!(say(&mut world, line), Vec::<String>::new(), "{}", line.escape_ascii());
    }
}

#[test]
fn a_lost_ack_costs_one_time_out_and_no_second_copy() {
    let content = noise(5000, 1);
    for (lost, waits) in [("out.loss=0", 0), ("out.loss=100%", 1)] {
        let plan = Plan::new(&content, Mode::Checked, Spelling::Spaced, "delay=10ms");
        let mut world = World::new(std::slice::from_ref(&plan), 0);
        // Two round trips: the start and the first chunk are through; then one answer is lost.
        world.drain();
        for _ in 0..2 {
            world.advance();
            world.drain();
        }
        let bad = homing::weather::Link::new(
            format!("delay=10ms,{lost}").parse::<homing::weather::Weather>().unwrap().outward,
            0,
        );
        let good = std::mem::replace(&mut world.clients[0].to_client, bad);
        world.advance();
        world.drain();
        world.advance();
        world.drain();
        if waits > 0 {
            world.clients[0].to_client = good;
        }
        world.run();
        assert_eq!(world.clients[0].outcome, Some(Outcome::Delivered));
        assert_eq!(world.clients[0].stats().retransmissions, waits);
        assert_eq!(world.disk.files[&plan.name], content);
    }
}

#[test]
fn duplicate_acknowledgements_never_cause_a_datagram() {
    let plan = Plan::new(&noise(30_000, 1), Mode::Checked, Spelling::Spaced, "delay=30ms,out.dup=100%");
    let mut world = World::new(std::slice::from_ref(&plan), 0);
    world.run();
    let stats = world.clients[0].stats();
    assert_eq!((stats.retransmissions, stats.sent), (0, 1 + 22 + 1), "start, chunks, checksum, each once");
    assert_eq!(stats.ignored, 24, "every duplicate came and changed nothing");
}

#[test]
fn a_plain_path_of_2200_ms_needs_no_repeats_once_it_is_known() {
    for mode in [Mode::Lab, Mode::Checked] {
        let plan = Plan::new(&noise(40_000, 1), mode, Spelling::Spaced, "delay=1100ms");
        let mut world = World::new(std::slice::from_ref(&plan), 0);
        world.run();
        let again = world.clients[0].stats().retransmissions;
        assert!(again <= 5, "{again} repeats in {mode:?}");
    }
}

#[test]
fn under_the_courses_own_weather_little_is_sent_again_without_need() {
    for mode in [Mode::Lab, Mode::Checked] {
        let (mut again, mut lost) = (0, 0);
        for seed in 0..20 {
            let plan = Plan::new(&noise(100_000, 1), mode, Spelling::Spaced, "lab");
            let mut world = World::new(std::slice::from_ref(&plan), seed);
            world.run();
            assert_eq!(world.disk.files[&plan.name], plan.content);
            let client = &world.clients[0];
            again += client.stats().retransmissions;
            lost += client.to_server.counts().lost + client.to_client.counts().lost;
        }
        println!("{mode:?}: {again} sent again, {lost} lost");
        assert!(again * 10 <= lost * 13, "{again} repeats for {lost} losses in {mode:?}");
    }
}

#[test]
fn a_path_that_becomes_slow_is_learned_within_a_few_messages() {
    let plan = Plan::new(&noise(100_000, 1), Mode::Checked, Spelling::Spaced, "delay=2500us");
    let mut world = World::new(std::slice::from_ref(&plan), 0);
    for _ in 0..30 {
        world.drain();
        world.advance();
    }
    let slow: homing::weather::Weather = "delay=150ms".parse().unwrap();
    world.clients[0].to_server = homing::weather::Link::new(slow.inward, 0);
    world.clients[0].to_client = homing::weather::Link::new(slow.outward, 0);
    world.run();
    let again = world.clients[0].stats().retransmissions;
    assert!((1..=15).contains(&again), "{again} repeats, though nothing was lost but what was on the way");
}

#[test]
fn towards_a_plain_server_no_two_repeats_are_more_than_a_second_apart() {
    let mut plan = Plan::new(b"x", Mode::Auto, Spelling::Spaced, "out.loss=100%");
    plan.timeout = Duration::from_secs(20);
    let mut world = World::new(std::slice::from_ref(&plan), 0);
    world.drain();
    // The start is answered late, by a plain server, and then nothing comes any more.
    for _ in 0..3 {
        world.now += Duration::from_secs(1);
        world.drain();
    }
    let first = world.first_number(0);
    world.tell_client(0, format!("a | {} | 1024", first + 1).as_bytes());
    let mut sent = Vec::new();
    let mut before = world.clients[0].stats().sent;
    while world.clients[0].outcome.is_none() {
        world.drain();
        let now = world.clients[0].stats().sent;
        if now != before {
            sent.push(world.elapsed());
            before = now;
        }
        world.advance();
    }
    for pair in sent[1..].windows(2) {
        assert!(pair[1] - pair[0] <= Duration::from_secs(1), "{sent:?}");
    }
    assert!(sent.len() > 10, "{sent:?}");
}

#[test]
fn words_without_ours_are_believed_when_they_come_twice() {
    for (words, outcome) in [("homing/1 windowed=abc", Some(Outcome::PlainServer)), ("homing/1 checkes", None)] {
        let plan = Plan::new(b"x", Mode::Checked, Spelling::Spaced, "out.loss=100%");
        let mut world = World::new(std::slice::from_ref(&plan), 0);
        world.drain();
        let next = world.first_number(0) + 1;
        let right = format!("a | {next} | 1400 | homing/1 checked");
        world.tell_client(0, format!("a | {next} | 1400 | {words}").as_bytes());
        let second = if outcome.is_some() { format!("a | {next} | 1400 | {words}") } else { right };
        world.tell_client(0, second.as_bytes());
        world.drain();
        assert_eq!(world.clients[0].outcome, outcome);
        assert_eq!(world.clients[0].checked, outcome.is_none());
    }
}

#[test]
fn a_slow_disk_delays_answers_and_loses_nothing() {
    for mode in [Mode::Lab, Mode::Checked] {
        let plan = Plan::new(&noise(600_000, 1), mode, Spelling::Spaced, "delay=1ms");
        let mut world = World::new(std::slice::from_ref(&plan), 0);
        world.disk.delay = Duration::from_millis(700);
        world.run();
        assert_eq!(world.clients[0].outcome, Some(Outcome::Delivered));
        assert_eq!(world.disk.files[&plan.name], plan.content);
        assert_eq!(world.disk.published[&plan.name], 1);
    }
}

#[test]
fn a_silent_server_is_given_up_after_the_time_out_and_not_before() {
    let mut plan = Plan::new(b"x", Mode::Auto, Spelling::Spaced, "out.loss=100%");
    plan.timeout = Duration::from_secs(7);
    let mut world = World::new(std::slice::from_ref(&plan), 0);
    world.run();
    assert_eq!(world.clients[0].outcome, Some(Outcome::NoAnswer { unreachable: false }));
    assert_eq!(world.elapsed().as_secs(), 7);
}

#[test]
fn a_hundred_clients_at_once_do_not_disturb_each_other() {
    let plans: Vec<Plan> = (0..100)
        .map(|number| {
            let mut plan =
                Plan::new(&noise(20_000, number), Mode::Auto, Spelling::Spaced, "loss=10%,delay=20ms,dup=5%");
            plan.name = format!("file {number}");
            plan
        })
        .collect();
    let mut world = World::new(&plans, 3);
    world.run();
    for plan in &plans {
        assert_eq!(world.disk.files[&plan.name], plan.content);
    }
    assert_eq!(SERVER.port(), 12300);
}

#[test]
fn the_same_seed_gives_the_same_packets() {
    let run = || {
        let weather = "loss=20%,dup=10%,reorder=10%,delay=30ms,jitter=10ms,corrupt=1%";
        let plan = Plan::new(&noise(50_000, 1), Mode::Lab, Spelling::Spaced, weather);
        let mut world = World::new(std::slice::from_ref(&plan), 11);
        world.run();
        (world.elapsed(), world.clients[0].stats(), world.clients[0].to_server.counts())
    };
    assert_eq!(run(), run());
}
