#!/usr/bin/env bash
# install.sh install|uninstall: puts what was built below the folders that the Makefile names, or takes it away. One list serves
# both. Asks neither cargo nor rustc, so that another user may run it than who built.
set -eu
cd "$(dirname "$0")/.."
what=$1
library=$LIBRARY tool=$TOOL
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
description=$(sed -n 's/^description = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
soname=libimgtask.so.$ABI
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

put() { # a file, the folder it goes to, its mode, its name there
  local to=${DESTDIR:-}$2 name=${4:-$(basename "$1")}
  if [ "$what" = uninstall ]; then
    rm -f "$to/$name"
  else
    install -d "$to" && install -m "$3" "$1" "$to/$name"
  fi
}

link() { # what it points to, the folder, its name
  local to=${DESTDIR:-}$2
  if [ "$what" = uninstall ]; then rm -f "$to/$3"; else ln -sf "$1" "$to/$3"; fi
}

below() { # whether the first folder is the second or below it
  [ "${1#"$2"}" != "$1" ] && case "${1#"$2"}" in '' | /*) true ;; *) false ;; esac
}

up() { # the way from the first folder to the second, which it is below: "/.." for each step
  printf '%s' "${1#"$2"}" | tr -s / '\n' | sed '/^$/d' | sed 's|.*|/..|' | tr -d '\n'
}

# A place in words of another, where it is below it, as pkg-config reads it: it parts its flags at spaces.
told() { # the folder, the other folder, how the other is written
  local place=$1
  if below "$1" "$2"; then place=$3${1#"$2"}; fi
  printf '%s' "${place// /\\ }"
}

fill() { # a template, filled in from the variables it names
  local text name
  text=$(cat "packaging/$1.in")
  for name in $(grep -o '@[a-z_]*@' "packaging/$1.in" | tr -d @ | sort -u); do
    text=${text//"@$name@"/"${filled[$name]}"}
  done
  printf '%s\n' "$text" >"$scratch/$1"
}

declare -A filled
if [ "$what" = install ]; then
  native=$(cat "$library/native-static-libs.txt")
  # The word size, as the library's own first bytes tell it.
  class=$(od -An -tu1 -j4 -N1 "$library/$soname" | tr -d ' ')
  # In /usr nothing moves, and tools that know its folders by name should see them.
  root=$prefix
  if [ "$prefix" != /usr ] && below "$libdir" "$prefix"; then root="\${pcfiledir}$(up "$libdir/pkgconfig" "$prefix")"; fi
  here='${CMAKE_CURRENT_LIST_DIR}'
  include=$includedir
  if below "$includedir" "$prefix" && below "$libdir" "$prefix"; then
    include=$here$(up "$libdir/cmake/imgtask" "$prefix")${includedir#"$prefix"}
  fi
  filled=(
    [version]=$version [major]=${version%%.*} [description]=$description
    [prefix]=${root// /\\ } [exec_prefix]=$(told "$exec_prefix" "$prefix" '${prefix}')
    [libdir]=$(told "$libdir" "$exec_prefix" '${exec_prefix}') [includedir]=$(told "$includedir" "$prefix" '${prefix}')
    [native_flags]=$native [native_list]=${native// /;} [pointer_bytes]=$((class * 4))
    [include]=$include [shared]=$here/../../libimgtask.so.$version [archive]=$here/../../libimgtask.a
    [shared_link]="IMPORTED_SONAME \"$soname\""
  )
  for template in imgtask.pc imgtask-static.pc imgtaskConfig.cmake imgtaskConfigVersion.cmake; do fill "$template"; done
fi

# The command writes its own pages and completions, where it runs: built for another machine it does not, unless
# HOST_IMGTASK names one that does. They are written before anything is put in place: nothing is left half installed.
host=${HOST_IMGTASK:-$tool} written=
if [ "$what" = uninstall ]; then
  written=yes
elif "$host" --version >"$scratch/said" 2>&1; then
  "$host" completions bash >"$scratch/imgtask"
  "$host" completions zsh >"$scratch/_imgtask"
  "$host" completions fish >"$scratch/imgtask.fish"
  mkdir "$scratch/man" && "$host" man "$scratch/man" >/dev/null
  written=yes
fi

put "$library/libimgtask.so.$version" "$libdir" 755
link "libimgtask.so.$version" "$libdir" "$soname"
link "$soname" "$libdir" libimgtask.so
put "$library/libimgtask.a" "$libdir" 644
for header in include/*; do put "$header" "$includedir" 644; done
for file in imgtask.pc imgtask-static.pc; do put "$scratch/$file" "$libdir/pkgconfig" 644; done
for file in imgtaskConfig.cmake imgtaskConfigVersion.cmake; do put "$scratch/$file" "$libdir/cmake/imgtask" 644; done
for file in LICENSE-MIT LICENSE-APACHE THIRD-PARTY.md imgtask.spdx.json; do put "$file" "$docdir" 644; done
put "$tool" "$bindir" 755 imgtask

if [ -n "$written" ]; then
  put "$scratch/imgtask" "$datadir/bash-completion/completions" 644
  put "$scratch/_imgtask" "$datadir/zsh/site-functions" 644
  put "$scratch/imgtask.fish" "$datadir/fish/vendor_completions.d" 644
  if [ "$what" = install ]; then
    for page in "$scratch"/man/*.1; do put "$page" "$mandir/man1" 644; done
  else
    rm -f "${DESTDIR:-}$mandir"/man1/imgtask.1 "${DESTDIR:-}$mandir"/man1/imgtask-*.1
  fi
else
  echo "left out: manual pages and completions, for $host does not run here; set HOST_IMGTASK to one that does"
fi

if [ "$what" = uninstall ]; then
  # Folders that are ours alone; one that is gone already, or holds what somebody else put there, is left as it is.
  for folder in "$libdir/cmake/imgtask" "$docdir"; do rmdir "${DESTDIR:-}$folder" 2>/dev/null || true; done
  echo "imgtask is gone from ${DESTDIR:-}$prefix"
else
  echo "imgtask $version is in ${DESTDIR:-}$prefix: pkg-config imgtask, or find_package(imgtask)"
fi

# The loader finds what is in the system's own folders after this.
case "${DESTDIR:-}$libdir" in
  /lib* | /usr/lib* | /usr/local/lib*)
    [ "$(id -u)" -ne 0 ] || ldconfig || echo "ldconfig did not run: until it does, programs may not find $soname" >&2
    ;;
esac
