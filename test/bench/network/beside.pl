#!/usr/bin/perl
# Measures two ways beside each other, in turns of milliseconds, so that whatever else the machine does meets
# both alike. It waits in the kernel: no event loop is between the sending and the hearing.
#   beside.pl round-trip|stream HOST PORT [HOST PORT] MS
# Each turn has a connection of its own, as two of the same way differ by some 5 % for as long as they last.
# prints [[way 1, way 2], ...], a pair a turn (or [way 1]), of {value, cpuUs}: the median of microseconds for a byte and back,
# or bits per second; and what one of them, or a megabyte, takes of both ends' processors, the kernel's part of
# the way included. That says more on a machine that is busy.
use strict;
use warnings;
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(clock_gettime usleep CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID);

my ($mode, @addresses) = @ARGV;
my $ms = pop @addresses;
my ($trips, $stream_ms, $warm_ms) = (50, 20, 5);
my ($unsent_request, $poll_us) = (0x5411, 50);    # 0x5411: SIOCOUTQ
my $chunk = 's' x (256 * 1024);

sub now { return clock_gettime(CLOCK_MONOTONIC) }

sub open_way {
    my ($host, $port) = @_;
    socket(my $socket, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
    connect($socket, sockaddr_in($port, inet_aton($host))) or die "connect $host:$port: $!";
    setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1) or die "nodelay: $!";
    return $socket;
}

sub trip {
    my ($socket) = @_;
    my $start = now();
    syswrite($socket, 'b') or die "write: $!";
    sysread($socket, my $answer, 1) or die "read: $!";
    return (now() - $start) * 1e6;
}

# Until the other end has all of it.
sub unsent {
    my ($socket) = @_;
    my $bytes = pack 'i', 0;
    ioctl($socket, $unsent_request, $bytes) // die "unsent: $!";
    return unpack 'i', $bytes;
}

sub round_trips {
    my ($socket) = @_;
    my @times = map { trip($socket) } 1 .. $trips;
    return ((sort { $a <=> $b } @times)[ @times / 2 ], $trips);
}

# What both ends have used so far.
sub cpu_us {
    my ($control) = @_;
    syswrite($control, 'c') or die "write: $!";
    sysread($control, my $answer, 64) or die "read: $!";
    return $answer + 1e6 * clock_gettime(CLOCK_PROCESS_CPUTIME_ID);
}

sub flow {
    my ($socket, $for_ms) = @_;
    my ($start, $sent) = (now(), 0);
    while (now() - $start < $for_ms / 1000) {
        $sent += syswrite($socket, $chunk) // die "write: $!";
    }
    usleep($poll_us) while unsent($socket) > 0;
    return ($sent * 8 / (now() - $start), $sent / 2**20);
}

my @ways;
while (my @way = splice(@addresses, 0, 2)) { push @ways, \@way }
my $control = open_way(@{ $ways[-1] });
my $work = $mode eq 'stream' ? sub { flow($_[0], $stream_ms) } : \&round_trips;
my $warm = $mode eq 'stream' ? sub { flow($_[0], $warm_ms) } : \&round_trips;

sub turn {
    my ($way) = @_;
    my $socket = open_way(@{$way});
    $warm->($socket);
    my $before = cpu_us($control);
    my ($value, $amount) = $work->($socket);
    my $cpu_us = (cpu_us($control) - $before) / $amount;
    return sprintf '{"value":%f,"cpuUs":%f}', $value, $cpu_us;
}

my ($end, @pairs) = (now() + $ms / 1000);
# Each is the first in every other turn: what grows or shrinks from one half of a turn to the other meets both.
while (now() < $end) {
    my @turns = @pairs % 2 ? reverse map { turn($_) } reverse @ways : map { turn($_) } @ways;
    push @pairs, '[' . join(',', @turns) . ']';
}
print '[', join(',', @pairs), "]\n";
