#!/usr/bin/env escript
%%! +S 1
%% Prints which children Erlang's supervisor starts and stops, and in which order.

-mode(compile).
-export([init/1, leaf/1]).

-define(MOMENT, 50).

main(_) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    say("== start order"),
    plain(one_for_one, fun(Sup) -> show(Sup) end),

    say("== failed start of the second"),
    ets(),
    ets:insert(poe, {b, bad}),
    Failed = supervisor:start_link(?MODULE, {flags(one_for_one), children([a, b, c])}),
    settle(),
    case Failed of {error, _} -> say("error"); _ -> say("ok") end,

    [begin
         say("== " ++ atom_to_list(Strategy)),
         plain(Strategy, fun(Sup) -> kill(b), show(Sup) end)
     end || Strategy <- [one_for_one, one_for_all, rest_for_one]],

    say("== transient"),
    run(flags(one_for_all), [child(a, transient), child(b, transient), child(t, temporary)], fun(Sup) ->
        say("end a"),
        a ! finish,
        settle(),
        show(Sup),
        kill(b),
        show(Sup)
    end),

    say("== intensity"),
    {ok, Over} = supervisor:start_link(?MODULE, {flags(one_for_one), children([a, b, c])}),
    settle(),
    kill(b),
    kill(b),
    case is_process_alive(Over) of false -> say("supervisor ended"); true -> say("supervisor lives") end,

    say("== nested escalation"),
    Inner = #{id => inner, type => supervisor, shutdown => infinity,
              start => {supervisor, start_link, [?MODULE, {(flags(one_for_one))#{intensity => 0}, children([a, b])}]}},
    run(flags(rest_for_one), [child(x, permanent), Inner, child(y, permanent)], fun(Sup) ->
        kill(a),
        show(Sup)
    end),

    say("== shutdown order"),
    ets:insert(poe, {b, slow}),
    run(flags(rest_for_one), children([a, b, c, d]), fun(_) -> ok end),
    ets:delete(poe, b),

    say("== brutal kill"),
    Brutal = (child(b, permanent))#{shutdown => brutal_kill},
    run(flags(one_for_all), [child(a, permanent), Brutal, child(c, permanent)], fun(_) -> kill(c) end),

    say("== dynamic children"),
    run(flags(one_for_one), [child(a, permanent)], fun(Sup) ->
        {ok, _} = supervisor:start_child(Sup, child(d, permanent)),
        settle(),
        case supervisor:start_child(Sup, child(d, permanent)) of {error, _} -> say("error"); _ -> say("ok") end,
        ok = supervisor:terminate_child(Sup, d),
        show(Sup),
        {ok, _} = supervisor:restart_child(Sup, d),
        show(Sup),
        ok = supervisor:terminate_child(Sup, d),
        ok = supervisor:delete_child(Sup, d),
        show(Sup),
        ets:insert(poe, {e, bad}),
        {error, _} = supervisor:start_child(Sup, child(e, permanent)),
        show(Sup),
        {ok, _} = supervisor:start_child(Sup, child(t, temporary)),
        kill(t),
        show(Sup)
    end).

%% A supervisor is its own callback module.
init(Init = {_Flags, _Children}) -> {ok, Init}.

flags(Strategy) -> #{strategy => Strategy, intensity => 1, period => 5}.

children(Names) -> [child(Name, permanent) || Name <- Names].

child(Name, Restart) ->
    #{id => Name, restart => Restart, shutdown => 5000, start => {?MODULE, leaf, [Name]}}.

leaf(Name) ->
    ets(),
    case ets:lookup(poe, Name) of
        [{_, bad}] ->
            ets:delete(poe, Name),
            say("no start " ++ atom_to_list(Name)),
            {error, not_now};
        _ ->
            Parent = self(),
            Pid = proc_lib:spawn_link(fun() ->
                process_flag(trap_exit, true),
                register(Name, self()),
                say("start " ++ atom_to_list(Name)),
                Parent ! {ready, self()},
                loop(Name)
            end),
            receive {ready, Pid} -> {ok, Pid} end
    end.

loop(Name) ->
    receive
        finish -> ok;
        {'EXIT', _, Reason} ->
            say("stop " ++ atom_to_list(Name)),
            case ets:lookup(poe, Name) of [{_, slow}] -> timer:sleep(20); _ -> ok end,
            exit(Reason)
    end.

plain(Strategy, Do) -> run(flags(Strategy), children([a, b, c]), Do).

run(Flags, Children, Do) ->
    ets(),
    {ok, Sup} = supervisor:start_link(?MODULE, {Flags, Children}),
    settle(),
    Do(Sup),
    say("shutdown"),
    exit(Sup, shutdown),
    receive {'EXIT', Sup, _} -> ok end,
    settle().

kill(Name) ->
    say("kill " ++ atom_to_list(Name)),
    exit(whereis(Name), kill),
    settle().

show(Sup) ->
    settle(),
    Names = [case is_pid(Pid) of
                 true -> atom_to_list(Id);
                 false -> atom_to_list(Id) ++ "(down)"
             end || {Id, Pid, _, _} <- supervisor:which_children(Sup)],
    say("children " ++ lists:join(" ", lists:sort(Names))).

ets() ->
    case ets:whereis(poe) of
        undefined -> ets:new(poe, [named_table, public]);
        _ -> ok
    end.

settle() -> timer:sleep(?MOMENT).

say(Line) -> io:format("~s~n", [Line]).
