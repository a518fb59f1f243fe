# POE's ses_session, its beginning: machines that count by yield, post and call in turn, with
# events that only _default knows; a client and a server with postbacks and callbacks.
# Laws: L1, L12, L13, L62-L65, L73.
use strict;
use warnings;
use POE;

$| = 1;
sub out { print @_, "\n" }

out "== three machines count";
for my $id (1 .. 3) {
  POE::Session->create(
    inline_states => {
      _start => sub { $_[HEAP]{count} = 0; $_[KERNEL]->yield(count => $_[ARG0]) },
      count  => sub {
        my ($k, $me, $heap, $id) = @_[KERNEL, SESSION, HEAP, ARG0];
        out "$id: count $heap->{count}, ", $_[SENDER] == $me ? 'own' : 'foreign', " from $_[CALLER_STATE]";
        my $odd = $heap->{count} & 1;
        $odd ? $k->yield(bogus => $id) : $k->post($me => bogus => $id);
        if ($k->call($me => next_count => $id) < 3) {
          $odd ? $k->yield(count => $id) : $k->post($me => count => $id);
        }
      },
      next_count => sub { out "$_[ARG0]: next, from $_[CALLER_STATE]"; ++$_[HEAP]{count} },
      _default   => sub { out "$id: $_[STATE] for $_[ARG0]($_[ARG1][0])" if $_[ARG0] !~ /^_/ },
      _stop      => sub { out "$id: _stop" },
    },
    args => [$id],
  );
}
POE::Kernel->run;

out "== postbacks come later, callbacks at once";
POE::Session->create(
  inline_states => {
    _start => sub { $_[KERNEL]->alias_set('server'); $_[HEAP]{response} = 0 },
    query  => sub { out "query from $_[CALLER_STATE]"; $_[ARG0]->(++$_[HEAP]{response}); out "query ends" },
    _stop  => sub { out "server _stop" },
  },
);
POE::Session->create(
  inline_states => {
    _start => sub { $_[KERNEL]->yield('ask'); $_[HEAP]{cookie} = 0 },
    ask    => sub {
      out "ask";
      $_[KERNEL]->post(server => query => $_[SESSION]->postback(response => ++$_[HEAP]{cookie}));
      $_[KERNEL]->call(server => query => $_[SESSION]->callback(sync_response => ++$_[HEAP]{cookie}));
      out "ask ends";
    },
    sync_response => sub { out "sync $_[ARG0][0] $_[ARG1][0], from $_[CALLER_STATE]" },
    response      => sub {
      out "response $_[ARG0][0] $_[ARG1][0], from $_[CALLER_STATE]";
      $_[KERNEL]->yield('ask') if $_[HEAP]{cookie} < 5;
    },
    _stop => sub { out "client _stop" },
  },
);
POE::Kernel->run;
