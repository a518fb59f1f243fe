#!/usr/bin/perl
# Fetches a URL again and again with POE::Component::Client::HTTP, twenty at a time, and prints how many responses had which status and text.
use strict;
use warnings;
use HTTP::Request;
use POE qw(Component::Client::HTTP);

my ($url, $count) = @ARGV;
my %seen;
POE::Component::Client::HTTP->spawn(Alias => 'ua', Timeout => 30);
POE::Session->create(
    inline_states => {
        _start => sub { $_[KERNEL]->yield('fetch') for 1 .. 20 },
        fetch  => sub {
            $_[KERNEL]->post(ua => request => 'response', HTTP::Request->new(GET => $url)) if $count-- > 0;
        },
        response => sub {
            my $response = $_[ARG1][0];
            chomp(my $text = $response->content);
            $seen{ $response->code . " $text" }++;
            $_[KERNEL]->yield('fetch');
        },
    },
);
POE::Kernel->run;
print join(', ', map { "$seen{$_} x $_" } sort keys %seen), "\n";
