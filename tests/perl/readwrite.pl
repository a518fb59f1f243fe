# POE::Wheel::ReadWrite: what comes in which order. Rows RW1, RW2, RW3, RW7, RW10, RW11, RW12; laws 2, 8, 11, 20.
use strict;
use warnings;
use POE qw(Wheel::ReadWrite Filter::Line Filter::Stream);
use Socket;

$| = 1;
sub out { print @_, "\n" }

# Our end, and the other one with some bytes written to it.
sub pair {
  socketpair my $ours, my $peer, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die $!;
  syswrite $peer, $_[0] if length $_[0];
  return ($ours, $peer);
}

sub rest {
  my $peer = shift;
  local $/;
  my $text = <$peer>;
  $text =~ s/\r\n/ /g;
  return $text;
}

# A session with a wheel; it says what it is told, and lets go of the wheel at the end of the input.
sub session {
  my ($ours, $params, %states) = @_;
  POE::Session->create(
    inline_states => {
      _start => sub {
        $_[HEAP]{wheel} = POE::Wheel::ReadWrite->new(
          Handle => $ours, InputEvent => 'line', ErrorEvent => 'error', FlushedEvent => 'flushed', @$params,
        );
        $_[KERNEL]->yield('go');
      },
      go      => sub { },
      line    => sub { out "  line $_[ARG0]" },
      flushed => sub { out "  flushed" },
      low     => sub { out "  low" },
      error   => sub {
        my $pending = $_[HEAP]{wheel}->get_input_filter->get_pending;
        out "  $_[ARG0] error ", $_[ARG1] + 0, ", pending ", $pending ? "@$pending" : 'nothing';
        delete $_[HEAP]{wheel};
      },
      _stop => sub { },
      %states,
    },
  );
  undef $ours;
}

my ($ours, $peer);

out "== the records of a read are events one by one, ahead of what they post; the end comes behind them";
($ours, $peer) = pair("one\r\ntwo\r\nthree\r\nhalf");
shutdown $peer, 1;
session(
  $ours, [],
  line => sub {
    out "  line $_[ARG0]";
    $_[KERNEL]->yield(posted => $_[ARG0]);
  },
  posted => sub { out "  posted $_[ARG0]" },
);
undef $ours;
POE::Kernel->run;

out "== low comes before flushed, and what is put in flushed is another flush";
($ours, $peer) = pair('');
my $flushes = 0;
session(
  $ours,
  [ HighMark => 20, LowMark => 10, LowEvent => 'low' ],
  go => sub {
    my $wheel = $_[HEAP]{wheel};
    out "  put ", $wheel->put('01234567') ? 'high' : 'normal' for 1 .. 3;
    out "  ", $wheel->get_driver_out_octets, " bytes, ", $wheel->get_driver_out_messages, " messages";
  },
  flushed => sub {
    out "  flushed";
    if (++$flushes == 1) { $_[HEAP]{wheel}->put('more') }
    else                 { delete $_[HEAP]{wheel} }
  },
);
undef $ours;
POE::Kernel->run;
out "  the peer has ", rest($peer);

out "== a flush by hand";
($ours, $peer) = pair('');
session(
  $ours, [],
  go => sub {
    my $wheel = $_[HEAP]{wheel};
    $wheel->put('one');
    out "  ", $wheel->get_driver_out_octets, " bytes";
    $wheel->flush;
    out "  back with ", $wheel->get_driver_out_octets, " bytes";
    $_[KERNEL]->delay(end => 0.1);
  },
  end => sub { delete $_[HEAP]{wheel} },
);
undef $ours;
POE::Kernel->run;
out "  the peer has ", rest($peer);

out "== a change of the input filter in the handler of a record";
($ours, $peer) = pair("abc|de,f");
shutdown $peer, 1;
session(
  $ours,
  [ Filter => POE::Filter::Line->new(Literal => '|') ],
  line => sub {
    out "  line $_[ARG0]";
    if ($_[ARG0] eq 'abc') {
      $_[HEAP]{wheel}->set_input_filter(POE::Filter::Line->new(Literal => ','));
      out "  back";
    }
  },
);
undef $ours;
POE::Kernel->run;

out "== a change of the output filter is for what is put later";
($ours, $peer) = pair('');
session(
  $ours, [],
  go => sub {
    my $wheel = $_[HEAP]{wheel};
    $wheel->put('one');
    $wheel->set_output_filter(POE::Filter::Line->new(Literal => '|'));
    $wheel->put('two');
  },
  flushed => sub { out "  flushed"; delete $_[HEAP]{wheel} },
);
undef $ours;
POE::Kernel->run;
out "  the peer has ", rest($peer);

out "== a shutdown of the output loses what waits, and the input goes on";
($ours, $peer) = pair("a line\r\n");
session(
  $ours, [],
  go => sub {
    $_[HEAP]{wheel}->pause_input;
    $_[HEAP]{wheel}->put('never written');
    $_[HEAP]{wheel}->shutdown_output;
    $_[KERNEL]->delay(later => 0.1);
  },
  later => sub { out "  later"; $_[HEAP]{wheel}->resume_input; shutdown $peer, 1 },
);
undef $ours;
POE::Kernel->run;
out "  the peer has ", rest($peer) || 'nothing';
