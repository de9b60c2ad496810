#!/bin/bash
# Completion in a real bash and a real zsh: every command and option of --help, the words that options take, files, and
# the names of a daemon's namespaces, which is not waited for.
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "$0")/lib.sh"

export PATH=$PROGRAMS:$PATH
for program in swnat-nfq swnatctl swnat-pcp; do
  for shell in bash zsh; do
    cmp -s <("$program" completion "$shell") "$PROGRAMS/completion/$program.$shell" ||
      fail "the file to be installed is not what $program completion $shell prints"
  done
  # shellcheck disable=SC1090
  source <("$program" completion bash)
done
passed "the files to be installed are what the programs print"

# completed WORD…: what bash offers for the last one, a line each.
completed() {
  local COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
  "_${1//-/_}" "$1" "${!#}" "${*: -2:1}" 2>"$DIR/err" || true
  [[ ! -s $DIR/err ]] || fail "completing '$*' wrote: $(cat "$DIR/err")"
  if ((${#COMPREPLY[@]})); then printf '%s\n' "${COMPREPLY[@]}" | sort; fi
}
# offers WANTED WORD…: exactly these, with blanks between.
offers() {
  local wanted=$1 seen
  shift
  seen=$(completed "$@" | paste -sd ' ')
  [[ $seen == "$wanted" ]] || fail "bash, '$*': expected '$wanted', saw '$seen'"
  passed "bash, '$*': ${seen:-nothing}"
}
# Of a program's or command's help.
commands_in_help() { "$@" --help | awk '/^Subcommands:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }' | sort; }
options_in_help() { "$@" --help | grep -oE '^  (-[a-z],)?--[a-z-]+' | grep -oE -e '--[a-z-]+' | sort; }

for program in swnat-nfq swnatctl; do
  mapfile -t commands < <(commands_in_help "$program")
  ((${#commands[@]} >= 6)) || fail "$program: no commands in its help"
  offers "${commands[*]}" "$program" ''
  for command in '' "${commands[@]}"; do
    # shellcheck disable=SC2086
    mapfile -t options < <(options_in_help "$program" $command)
    ((${#options[@]} >= 2)) || fail "$program $command: no options in its help"
    # shellcheck disable=SC2086
    seen=$(completed "$program" $command -- | paste -sd ' ')
    for option in "${options[@]}"; do
      [[ " $seen " == *" $option "* ]] || fail "bash, $program $command: $option is not in '$seen'"
    done
  done
  passed "bash, $program: all commands and options of --help"
done

offers "--config --help --version" swnat-pcp --
offers "auto iptables nft" swnat-nfq up --format ''
offers "iptables" swnat-nfq up --format = ipt
offers "active" swnatctl sessions --state a
offers "closing" swnatctl --json sessions --state clo
offers "tcp" swnatctl flush --protocol tc
offers "bytes" swnatctl sessions --sort b
offers "sessions" swnatctl mappings --sort s
offers "out" swnatctl top --sort o
offers "internal,external" swnatctl sessions --columns internal,ext
offers "mapping,refused" swnatctl watch --events mapping,r
offers "reopen" swnatctl log ''
offers "sessions" swnatctl -s /nowhere.sock sess
touch "$DIR/one.toml" "$DIR/other.toml"
offers "$DIR/one.toml" swnat-nfq check --config "$DIR/on"
offers "$DIR/one.toml" swnat-nfq check -c "$DIR/on"
offers "$DIR/one.toml $DIR/other.toml" swnat-nfq --config = "$DIR/o"
offers "$DIR/one.toml" swnatctl who 203.0.113.1 : 5 --log "$DIR/on"

# --- names of namespaces, from who listens there: one that answers, one that does not, nobody
cat >"$DIR/daemon.py" <<'PYTHON'
import socket, sys
path, answers = sys.argv[1], sys.argv[2] == "answers"
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen()
print("ready", flush=True)
held = []
while True:
    client, _ = server.accept()
    held.append(client)
    if answers:
        client.recv(4096)
        client.sendall(b'{"ok":true}\n{"name":"blue"}\n{"name":"black"}\n{"name":"green"}\n{"end":true}\n')
        held.pop().close()
PYTHON
daemons=()
# shellcheck disable=SC2317
end_daemons() {
  if ((${#daemons[@]})); then kill "${daemons[@]}" 2>/dev/null || true; fi
  rm -rf "$DIR"
}
trap end_daemons EXIT
for kind in answers hangs; do
  mkfifo "$DIR/$kind.ready"
  python3 "$DIR/daemon.py" "$DIR/$kind.sock" "$kind" >"$DIR/$kind.ready" &
  daemons+=($!)
  read -r _ <"$DIR/$kind.ready"
done
offers "black blue" swnatctl --socket "$DIR/answers.sock" sessions --namespace bl
offers "black blue green" swnatctl sessions -s "$DIR/answers.sock" --namespace ''
offers "" swnatctl --socket "$DIR/nobody.sock" sessions --namespace bl
# It gives up by itself, long before this.
offers "" swnatctl --socket "$DIR/hangs.sock" sessions --namespace bl

# --- zsh, in a terminal
cat >"$DIR/zsh.py" <<'PYTHON'
"""Types a line and Tab into zsh, and prints what the line became, or what is offered."""
import os, pty, re, select, sys, termios, struct, fcntl
MARK = "<<ready>>"
folder, line = sys.argv[1], sys.argv[2]
pid, terminal = pty.fork()
if pid == 0:
    os.environ.update(TERM="dumb", PS1=MARK, ZDOTDIR=folder)
    os.execvp("zsh", ["zsh", "-i", "--no-global-rcs"])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 200, 200, 0, 0))
def until(pattern):
    seen = ""
    while not re.search(pattern, seen):
        if not select.select([terminal], [], [], 60)[0]:
            sys.exit("zsh says no more than: " + repr(seen))
        seen += os.read(terminal, 65536).decode(errors="replace")
    return seen
until(MARK)
if line.endswith((" ", "--")):
    # A list, and the prompt once more below it.
    os.write(terminal, line.encode() + b"\t")
    seen = until(MARK)
else:
    # The widget below says what the line has become.
    os.write(terminal, line.encode() + b"\x18")
    seen = until(r"<<done:.*>>")
print(re.sub(r"\r", "", seen))
os.close(terminal)
os.waitpid(pid, 0)
PYTHON
cat >"$DIR/.zshrc" <<'ZSH'
fpath=("$COMPLETIONS" $fpath)
autoload -Uz compinit && compinit -u -D
LISTMAX=10000
setopt no_list_ambiguous no_always_last_prompt
PS1='<<ready>>'
tell() { zle expand-or-complete; zle -I; print -r -- "<<done:$BUFFER>>" }
zle -N tell
bindkey -r '^X'; bindkey '^X' tell; KEYTIMEOUT=1
ZSH
mkdir "$DIR/functions"
for program in swnat-nfq swnatctl; do cp "$PROGRAMS/completion/$program.zsh" "$DIR/functions/_$program"; done
export COMPLETIONS=$DIR/functions

# in_zsh LINE PATTERN…: what is on the screen after Tab.
in_zsh() {
  local line=$1 seen pattern
  shift
  seen=$(python3 "$DIR/zsh.py" "$DIR" "$line") || fail "zsh, '$line': $seen"
  for pattern in "$@"; do
    grep -qE -e "$pattern" <<<"$seen" || fail "zsh, '$line': expected '$pattern', saw: $seen"
  done
  passed "zsh, '$line': $*"
}
for program in swnat-nfq swnatctl; do
  mapfile -t commands < <(commands_in_help "$program")
  in_zsh "$program " "${commands[@]/%/ +-- }"
  for command in "${commands[@]}"; do
    mapfile -t options < <(options_in_help "$program" "$command")
    in_zsh "$program $command --" "${options[@]/%/( |\$)}"
  done
done
in_zsh "swnatctl sess" '<<done:swnatctl sessions >>'
in_zsh "swnat-nfq up --format ipt" '<<done:swnat-nfq up --format iptables >>'
in_zsh "swnat-nfq up --format=ipt" '<<done:swnat-nfq up --format=iptables >>'
in_zsh "swnatctl sessions --state half" '<<done:swnatctl sessions --state half-closed >>'
in_zsh "swnatctl sessions --columns internal,ext" '<<done:swnatctl sessions --columns internal,external >>'
in_zsh "swnatctl -s $DIR/answers.sock count --namespace gr" '<<done:.* --namespace green >>'
in_zsh "swnatctl -s $DIR/nobody.sock count --namespace gr" '<<done:.* --namespace gr>>'
in_zsh "swnat-nfq check -c $DIR/on" "<<done:swnat-nfq check -c $DIR/one\.toml >>"
