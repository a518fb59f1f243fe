//! Eleven scenarios beside Erlang's `supervisor`: the same lines in the same order.

use super::kit::{END, World, pass};
use poe::component::{ChildSpec, Restart, Starter, Strategy, Supervisor, SupervisorBuilder, SupervisorEnd};
use poe::{Kernel, testing};
use std::process::Command;
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(50);

struct Scene {
    world: World,
    kernel: Kernel,
    lines: Vec<String>,
}

impl Scene {
    fn new(lines: &mut Vec<String>, title: &str) -> Self {
        lines.push(format!("== {title}"));
        Scene {
            world: World::default(),
            kernel: testing::builder().on_failure(poe::OnFailure::StopSession).build(),
            lines: std::mem::take(lines),
        }
    }

    fn supervisor(&self, strategy: Strategy, children: &[&str]) -> SupervisorBuilder {
        let builder = Supervisor::builder(strategy).intensity(1, Duration::from_secs(5));
        let leaves = children.iter().map(|name| self.world.leaf(name));
        leaves.fold(builder, SupervisorBuilder::child)
    }

    /// Lets things happen, and takes down what has.
    async fn settle(&mut self) {
        pass(&self.kernel, MOMENT).await;
        self.lines.extend(self.world.log.take());
    }

    async fn kill(&mut self, name: &str) {
        self.lines.push(format!("kill {name}"));
        self.world.kill(&self.kernel, name);
        self.settle().await;
    }

    fn show(&mut self, supervisor: &Supervisor) {
        let mut names: Vec<String> = supervisor
            .children()
            .iter()
            .map(|child| match child.state {
                poe::component::ChildState::Running(_) => child.name.to_string(),
                _ => format!("{}(down)", child.name),
            })
            .collect();
        names.sort();
        self.lines.push(format!("children {}", names.join(" ")));
    }

    async fn end(mut self, supervisor: &Supervisor) -> Vec<String> {
        self.lines.push("shutdown".to_owned());
        supervisor.shutdown();
        self.settle().await;
        self.lines
    }
}

async fn lines() -> Vec<String> {
    let mut lines = Vec::new();

    let mut scene = Scene::new(&mut lines, "start order");
    let supervisor = scene
        .supervisor(Strategy::OneForOne, &["a", "b", "c"])
        .start(&scene.kernel)
        .unwrap();
    scene.settle().await;
    scene.show(&supervisor);
    lines = scene.end(&supervisor).await;

    let mut scene = Scene::new(&mut lines, "failed start of the second");
    scene.world.bad_starts.borrow_mut().insert("b".into(), 1);
    let failed = scene
        .supervisor(Strategy::OneForOne, &["a", "b", "c"])
        .start(&scene.kernel);
    scene.settle().await;
    scene
        .lines
        .push(if failed.is_err() { "error" } else { "ok" }.to_owned());
    lines = scene.lines;

    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        let title = match strategy {
            Strategy::OneForOne => "one_for_one",
            Strategy::OneForAll => "one_for_all",
            _ => "rest_for_one",
        };
        let mut scene = Scene::new(&mut lines, title);
        let supervisor = scene
            .supervisor(strategy, &["a", "b", "c"])
            .start(&scene.kernel)
            .unwrap();
        scene.settle().await;
        scene.kill("b").await;
        scene.show(&supervisor);
        lines = scene.end(&supervisor).await;
    }

    let mut scene = Scene::new(&mut lines, "transient");
    let supervisor = Supervisor::builder(Strategy::OneForAll)
        .child(scene.world.leaf("a").restart(Restart::Transient))
        .child(scene.world.leaf("b").restart(Restart::Transient))
        .child(scene.world.leaf("t").restart(Restart::Temporary));
    let supervisor = supervisor
        .intensity(1, Duration::from_secs(5))
        .start(&scene.kernel)
        .unwrap();
    scene.settle().await;
    scene.lines.push("end a".to_owned());
    scene.world.tell(&scene.kernel, "a", END);
    scene.settle().await;
    scene.show(&supervisor);
    scene.kill("b").await;
    scene.show(&supervisor);
    lines = scene.end(&supervisor).await;

    let mut scene = Scene::new(&mut lines, "intensity");
    let supervisor = scene
        .supervisor(Strategy::OneForOne, &["a", "b", "c"])
        .start(&scene.kernel)
        .unwrap();
    scene.settle().await;
    scene.kill("b").await;
    scene.kill("b").await;
    scene.lines.push(match supervisor.outcome() {
        Some(SupervisorEnd::Failed(_)) => "supervisor ended".to_owned(),
        other => format!("{other:?}"),
    });
    lines = scene.lines;

    let mut scene = Scene::new(&mut lines, "nested escalation");
    let world = scene.world.clone();
    let inner = ChildSpec::supervisor("inner", move || {
        Supervisor::builder(Strategy::OneForOne)
            .intensity(0, Duration::from_secs(5))
            .child(world.leaf("a"))
            .child(world.leaf("b"))
    });
    let outer = Supervisor::builder(Strategy::RestForOne).intensity(1, Duration::from_secs(5));
    let outer = outer
        .child(scene.world.leaf("x"))
        .child(inner)
        .child(scene.world.leaf("y"));
    let supervisor = outer.start(&scene.kernel).unwrap();
    scene.settle().await;
    scene.kill("a").await;
    scene.show(&supervisor);
    lines = scene.end(&supervisor).await;

    let mut scene = Scene::new(&mut lines, "shutdown order");
    scene
        .world
        .drains
        .borrow_mut()
        .insert("b".into(), Duration::from_millis(20));
    let supervisor = scene
        .supervisor(Strategy::RestForOne, &["a", "b", "c", "d"])
        .start(&scene.kernel)
        .unwrap();
    scene.settle().await;
    lines = scene.end(&supervisor).await;

    let mut scene = Scene::new(&mut lines, "brutal kill");
    let supervisor = Supervisor::builder(Strategy::OneForAll)
        .intensity(1, Duration::from_secs(5))
        .child(scene.world.leaf("a"))
        .child(scene.world.leaf("b").shutdown(Duration::ZERO))
        .child(scene.world.leaf("c"));
    let supervisor = supervisor.start(&scene.kernel).unwrap();
    scene.settle().await;
    scene.kill("c").await;
    lines = scene.end(&supervisor).await;

    let mut scene = Scene::new(&mut lines, "dynamic children");
    let supervisor = scene
        .supervisor(Strategy::OneForOne, &["a"])
        .start(&scene.kernel)
        .unwrap();
    scene.settle().await;
    supervisor.start_child(scene.world.leaf("d")).unwrap();
    scene.settle().await;
    let again = supervisor.start_child(scene.world.leaf("d"));
    scene.lines.push(if again.is_err() { "error" } else { "ok" }.to_owned());
    supervisor.stop_child("d").unwrap();
    scene.settle().await;
    scene.show(&supervisor);
    supervisor.restart_child("d").unwrap();
    scene.settle().await;
    scene.show(&supervisor);
    supervisor.remove_child("d").unwrap();
    scene.settle().await;
    scene.show(&supervisor);
    scene.world.bad_starts.borrow_mut().insert("e".into(), 1);
    supervisor.start_child(scene.world.leaf("e")).unwrap();
    scene.settle().await;
    scene.show(&supervisor);
    let temporary = |cx: &mut Starter<'_>, world: &World| world.start(cx, "t");
    let world = scene.world.clone();
    let spec = ChildSpec::new("t", move |cx| temporary(cx, &world)).restart(Restart::Temporary);
    supervisor.start_child(spec).unwrap();
    scene.settle().await;
    scene.kill("t").await;
    scene.show(&supervisor);
    scene.end(&supervisor).await
}

/// Needs Erlang (`apt-get install erlang-base`); `.ci/run` runs it.
#[tokio::test(start_paused = true)]
#[ignore = "needs Erlang"]
async fn supervisors_do_what_erlangs_supervisor_does_line_by_line() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/supervisor/supervisor.escript");
    let output = Command::new("escript")
        .arg(script)
        .output()
        .expect("escript is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs = String::from_utf8(output.stdout).unwrap();
    let theirs: Vec<&str> = theirs.lines().collect();
    assert!(theirs.iter().filter(|line| line.starts_with("== ")).count() == 11);
    assert_eq!(lines().await, theirs);
}
