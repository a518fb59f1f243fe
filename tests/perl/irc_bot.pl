# A bot of POE::Component::IRC that talks with the Rust client `robot` in #poe: irc_bot.pl PORT. Prints what it has seen and exits 0 when all of it has come.
use strict;
use warnings;
use POE;
use POE::Component::IRC::State;

my $port = shift or die "PORT";
my $irc = POE::Component::IRC::State->spawn(nick => 'perl', server => '127.0.0.1', port => $port, ircname => 'Perl', username => 'perl')
    or die $!;

POE::Session->create(
    inline_states => {
        _start => sub {
            $irc->yield(register => 'all');
            $irc->yield('connect');
            $_[KERNEL]->delay(late => 30);
        },
        irc_001  => sub { $irc->yield(join => '#poe') },
        irc_chan_sync => sub {
            print "robot is here\n" if $irc->is_channel_member('#poe', 'robot');
            $irc->yield(privmsg => '#poe', '!say from Perl');
        },
        irc_public => sub {
            my ($who, $text) = @_[ARG0, ARG2];
            print((split /!/, $who)[0], ": $text\n");
            $irc->yield(ctcp => 'robot', 'VERSION') if $text eq 'from Perl';
        },
        irc_ctcpreply_version => sub {
            my ($who, $text) = @_[ARG0, ARG2];
            print((split /!/, $who)[0], " is $text\n");
            $irc->yield(ctcp => 'robot', 'ACTION waves');
            $irc->yield(quit => 'done');
        },
        irc_disconnected => sub {
            $_[KERNEL]->delay('late');
            $irc->yield('shutdown');
        },
        late => sub { print "late\n"; exit 1 },
        _default => sub { },
    },
);
POE::Kernel->run;
