//! The remembered answers that one join to a group ends, and the share of look-ups that a
//! client answers from memory while users join.

use presence_router_engine::{Edit, Side};
use presence_router_ids::UserId;

use crate::harness::Daemon;
use crate::harness::memory::{Memory, Rule};

const TEAMS: usize = 20;

fn policy() -> String {
    let teams = (0..TEAMS).map(|team| format!("team/{team}: {{ directory: true }}, "));
    let groups: String = teams.collect();
    format!(
        "groups: {{ {groups} staff: {{ directory: true }} }}\nrules:\n\
         \u{20} - {{ name: teams, allow: {{ within: 'team/*' }} }}\n\
         \u{20} - {{ name: staff, allow: {{ within: staff }} }}\n"
    )
}

fn join(daemon: &Daemon, joins: &[(&str, &str)]) {
    let edits = joins.iter().map(|(group, user)| {
        let user = UserId::parse(user).unwrap();
        Edit::Join { group, user }
    });
    daemon.live.edit_directory(&edits.collect::<Vec<_>>()).unwrap();
}

fn users(number: usize) -> Vec<String> {
    (0..number).map(|number| format!("@u{number}:one.org")).collect()
}

async fn remember(daemon: &Daemon, users: &[String], rule: Rule) -> Memory {
    let names = ["one.org".to_owned()];
    let memory = Memory::open(daemon.client(), &names, 0, users.to_vec()).await;
    let mut memory = memory.follow_rule(rule);
    memory.ask(&daemon.revision()).await;
    memory
}

#[tokio::test]
async fn a_join_to_a_group_of_a_thousand_ends_only_the_answers_of_who_joins() {
    let users = users(1001);
    for (rule, asked_again) in [(Rule::Nobody, 2), (Rule::AllNamed, 2002)] {
        let daemon = Daemon::serving(&policy()).await;
        let staff: Vec<_> = users.iter().take(1000).map(|user| ("staff", &**user)).collect();
        join(&daemon, &staff);
        let mut memory = remember(&daemon, &users, rule).await;
        join(&daemon, &[("staff", &users[1000])]);
        memory.hear(&daemon.revision()).await;
        // The new user had "nobody" on both sides, which has no set. The sets that only
        // `Changed` refers to are retired behind it.
        assert_eq!(memory.retired(), 0, "{rule:?}");
        assert_eq!(memory.ask(&daemon.revision()).await, asked_again, "{rule:?}");
    }
}

/// Hit rates by the rule and by the rule of earlier versions, with 100 look-ups for each join:
/// ten joins and a thousand look-ups a second. `--nocapture` shows them.
#[tokio::test]
async fn joins_leave_most_answers_of_others_valid() {
    const JOINS: usize = 20;
    let all = users(1000 + JOINS);
    // A user joins the staff of 1,000; or somebody of a team of 50 joins another one.
    for newcomers in [true, false] {
        let mut rates = Vec::new();
        for rule in [Rule::Nobody, Rule::AllNamed] {
            let daemon = Daemon::serving(&policy()).await;
            let teams: Vec<_> = (0..TEAMS).map(|team| format!("team/{team}")).collect();
            let members = all.iter().take(1000).enumerate();
            let members: Vec<_> = members
                .map(|(n, user)| (if newcomers { "staff" } else { &*teams[n % TEAMS] }, &**user))
                .collect();
            join(&daemon, &members);
            let mut memory = remember(&daemon, &all, rule).await;
            let (mut hits, mut random) = (0, 1u64);
            for number in 0..JOINS {
                let joins = if newcomers {
                    ("staff", &*all[1000 + number])
                } else {
                    (&*teams[(number + 1) % TEAMS], &*all[number])
                };
                join(&daemon, &[joins]);
                let revision = daemon.revision();
                memory.hear(&revision).await;
                for _ in 0..100 {
                    random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
                    // Skewed: a tenth of the users has nearly half of the look-ups.
                    let part = (random >> 40) as f64 / (1u64 << 24) as f64;
                    let user = &all[(part.powi(3) * 1000.0) as usize];
                    let side = [Side::Sender, Side::Recipient][(random >> 36 & 1) as usize];
                    hits += u32::from(memory.look_up(side, user, &revision).await);
                }
            }
            let rate = f64::from(hits) / (JOINS * 100) as f64;
            println!("newcomers {newcomers}, {rule:?}: {rate:.3}, {} retired", memory.retired());
            rates.push(rate);
        }
        assert!(rates[0] >= rates[1], "the earlier rule ends more: {rates:?}");
        // Newcomers end no answer of others; by the earlier rule, each ends all of the group.
        assert!(!newcomers || (rates[0] > 0.95 && rates[1] < 0.5), "{rates:?}");
    }
}
