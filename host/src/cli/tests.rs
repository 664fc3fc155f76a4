use clap::CommandFactory;

use super::*;

fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from([&["orchestrator"], words].concat())
}

fn refusal(words: &[&str]) -> String {
    parse(words).expect_err("it is wrong").to_string()
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn slips_of_the_hand_are_answered_with_the_nearest_word() {
    assert!(refusal(&["rum"]).contains("'run'"), "{}", refusal(&["rum"]));
    assert!(refusal(&["run", "--profil", "x"]).contains("--profile"));
    assert!(refusal(&["status", "--formt", "json"]).contains("--format"));
    assert!(refusal(&["config", "shwo"]).contains("'show'"));
}

#[test]
fn every_command_says_what_it_does_in_its_own_words() {
    fn walk(command: &clap::Command, seen: &mut Vec<String>) {
        for below in
            command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
        {
            let about = below.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(about.len() > 20, "{}: {about:?}", below.get_name());
            assert!(!seen.contains(&about), "{}: {about:?} stands twice", below.get_name());
            seen.push(about);
            walk(below, seen);
        }
    }
    let mut seen = Vec::new();
    walk(&Cli::command(), &mut seen);
    assert!(seen.len() >= 13, "{seen:?}");
}

#[test]
fn help_shows_examples_that_can_be_parsed() {
    let mut command = Cli::command();
    command.build();
    let mut tried = 0;
    let mut try_all = |command: &clap::Command| {
        let help = command.clone().render_long_help().to_string();
        for line in help.lines().map(str::trim).filter(|line| line.starts_with("orchestrator ")) {
            let shell = line.split(['|', '>']).next().unwrap_or(line);
            let words: Vec<String> = shell
                .split("  ")
                .next()
                .unwrap_or(shell)
                .split_whitespace()
                .skip(1)
                .map(|word| word.trim_matches('\'').to_owned())
                .collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            if let Err(error) = parse(&words) {
                panic!("{line}\n{error}");
            }
            tried += 1;
        }
    };
    try_all(&command);
    for below in command.get_subcommands() {
        try_all(below);
        below.get_subcommands().for_each(&mut try_all);
    }
    assert!(tried >= 25, "only {tried} examples were found");
}

#[test]
fn global_flags_may_stand_anywhere() {
    for words in [["--format", "json", "run"], ["run", "--format", "json"]] {
        assert_eq!(parse(&words).unwrap().globals.format, Format::Json);
    }
}

#[test]
fn what_follows_the_dashes_belongs_to_the_command() {
    let cli = parse(&["run", "--input", "in", "--output", "out", "--", "xz", "--keep", "-9"]).unwrap();
    let Command::Run(args) = cli.command else { panic!("{cli:?}") };
    assert_eq!(args.selection.command, ["xz", "--keep", "-9"]);
    assert_eq!(args.selection.config, None);
}
