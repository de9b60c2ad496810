#!/bin/bash
# library.sh BUILD CXX: installs the build and, as the other kind of library, the engine alone; uses both from a
# project of its own, found by CMake and by pkg-config, at another place than they were installed to.
set -euo pipefail

build=$1 cxx=$2
folder=$(dirname "$(readlink -f "$0")")
source=$(dirname "$(dirname "$folder")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CMAKE_CXX_COMPILER_LAUNCHER
CMAKE_CXX_COMPILER_LAUNCHER=$(command -v ccache || true)

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# quietly COMMAND…: shows what it wrote only if it fails.
quietly() {
  "$@" >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    fail "$*"
  }
}

expected='translated_outbound, from 203.0.113.1
translated_inbound, to 10.0.0.2 of 7'

# check_program PROGRAM PREFIX KIND: it prints what it should, with a library of that kind.
check_program() {
  local program=$1 prefix=$2 kind=$3 printed linked=static
  printed=$(LD_LIBRARY_PATH=$prefix/lib "$program")
  [[ $printed == "$expected" ]] || fail "$program printed: $printed"
  if readelf --dynamic "$program" | grep -q 'NEEDED.*libswnat'; then linked=shared; fi
  [[ $linked == "$kind" ]] || fail "$program is linked to a $linked library, not a $kind one"
  echo "ok: $(basename "$program"), $kind library"
}

# use PREFIX KIND
use() {
  local prefix=$1 kind=$2 by_cmake=$work/by-cmake-$2 by_pkg_config=$work/by-pkg-config-$2 flags printed
  quietly cmake -S "$folder/consumer" -B "$by_cmake" \
    -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_PREFIX_PATH="$prefix" -DWANTED_VERSION=0.1
  quietly cmake --build "$by_cmake"
  check_program "$by_cmake/consumer" "$prefix" "$kind"
  if cmake -S "$folder/consumer" -B "$work/too-new" -DCMAKE_CXX_COMPILER="$cxx" \
    -DCMAKE_PREFIX_PATH="$prefix" -DWANTED_VERSION=0.2 >"$work/log" 2>&1; then
    fail "version 0.2 was found"
  fi
  rm -rf "$work/too-new"

  export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
  flags=(--cflags --libs)
  if [[ $kind == static ]]; then flags+=(--static); fi
  read -ra flags < <(pkg-config "${flags[@]}" swnat)
  quietly "$cxx" -std=c++20 -Wall -Wextra -Werror "$folder/consumer/consumer.cpp" "${flags[@]}" \
    -o "$by_pkg_config"
  check_program "$by_pkg_config" "$prefix" "$kind"

  # The example of the README that is installed with it.
  local example template=$by_pkg_config-readme
  example=$(awk '/^```cpp$/ { inside = 1; next } /^```$/ && inside { exit } inside' \
    "$prefix/share/doc/swnat/engine/README.md")
  [[ -n $example ]] || fail "the README has no example"
  example=$example awk '$0 == "@SNIPPET@" { print ENVIRON["example"]; next } { print }' \
    "$folder/consumer/readme.cpp.in" >"$template.cpp"
  quietly "$cxx" -std=c++20 -Wall -Wextra -Werror "$template.cpp" "${flags[@]}" -o "$template"
  printed=$(LD_LIBRARY_PATH=$prefix/lib "$template")
  [[ $printed == "10.0.0.2:40000 is 203.0.113.1:40000" ]] || fail "the README's example printed: $printed"
  echo "ok: the README's example, $kind library"

  # No header that <swnat/engine.h> does not need, and none missing.
  "$cxx" -std=c++20 "${flags[@]}" -M "$folder/consumer/consumer.cpp" 2>/dev/null |
    tr ' ' '\n' | grep -o 'swnat/[a-z_]*\.h$' | sort -u >"$work/needed"
  (cd "$prefix/include" && find . -type f -printf '%P\n') | sort >"$work/installed"
  diff --unified "$work/needed" "$work/installed" || fail "the installed headers are not those needed"
  if grep -rlF "$work" "$prefix/lib/cmake" "$prefix/lib/pkgconfig"; then fail "names its prefix"; fi
}

if grep -q '^BUILD_SHARED_LIBS:BOOL=ON' "$build/CMakeCache.txt"; then
  kind=shared other=static other_is_shared=OFF
else
  kind=static other=shared other_is_shared=ON
fi

quietly cmake --install "$build" --prefix "$work/all"
mv "$work/all" "$work/moved"
use "$work/moved" "$kind"
for program in swnat-nfq swnatctl swnat-pcp; do
  "$work/moved/bin/$program" --version >"$work/log" || fail "$program does not run"
  echo "ok: $program says $(<"$work/log")"
done
[[ -s $work/moved/share/doc/swnat/README.md ]] || fail "no documentation was installed"

quietly cmake -S "$source" -B "$work/engine" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE=Release \
  -DBUILD_SHARED_LIBS="$other_is_shared" -DSWNAT_PROGRAMS=OFF
quietly cmake --build "$work/engine" --parallel "$(nproc)"
quietly cmake --install "$work/engine" --prefix "$work/engine-only"
use "$work/engine-only" "$other"
