# FollowTail by name: records, resets and idle looks, in their order.
# Rows: FT.p3, FT.p6, FT.p7, FT3 to FT8, FT10; laws 23 to 25 of the I/O layer; quirks Q6, Q17.
use strict; use warnings;
use POE qw(Wheel::FollowTail);
use File::Temp qw(tempdir);
$| = 1;
sub out { print @_, "\n" }
my $dir = tempdir(CLEANUP => 1);
my ($log, $old) = ("$dir/log", "$dir/log.1");
sub append { my ($path, $text) = @_; open my $fh, '>>', $path or die $!; print {$fh} $text; close $fh or die $! }
sub follow {
  my ($title, $at_idle, %o) = @_;
  out "== $title";
  unlink $log, $old, "$dir/link";
  my $looks = 0;
  POE::Session->create(inline_states => {
    _start => sub {
      append($log, $o{before}) if defined $o{before};
      $_[HEAP]{wheel} = POE::Wheel::FollowTail->new(Filename => $log, InputEvent => 'line', ResetEvent => 'reset', IdleEvent => 'idle', ErrorEvent => 'error', PollInterval => 0.02, %{ $o{with} || {} });
    },
    line => sub { out "line $_[ARG0]" },
    reset => sub { out "reset" },
    error => sub { out "error $_[ARG0]" },
    idle => sub {
      out "idle";
      my $do = $at_idle->[$looks++];
      return delete $_[HEAP]{wheel} unless $do;
      $do->();
    },
    _stop => sub { out "_stop" },
  });
  POE::Kernel->run;
}
follow("a file that grows", [ sub { append($log, "a\nb\n") }, sub { append($log, "c\npart") }, sub { append($log, "ial\n") } ], before => "old\n");
follow("a file that comes", [ sub { }, sub { append($log, "a\n") } ]);
follow("a roll between two looks", [ sub { append($log, "a\n"); rename $log, $old or die; append($log, "b\n") }, sub { append($log, "c\n") } ], before => "");
follow("cut short", [ sub { open my $fh, '>', $log; print {$fh} "a\n" } ], before => "old\nolder\n");
follow("gone and back", [ sub { unlink $log }, sub { append($log, "a\n") } ], before => "old\n");
follow("a hard link", [ sub { link $log, "$dir/link" or die }, ], before => "a\nb\n", with => { Seek => 0 });
follow("a partial line at a roll", [ sub { append($log, "half"); rename $log, $old or die; append($log, "new\n") } ], before => "");
follow("from the start", [], before => "a\nb\n", with => { Seek => 0 });
follow("from the last bytes", [], before => "a\nb\nc\n", with => { SeekBack => 4 });
