#!/bin/sh
# Includes point one way, and programs link only what their privilege needs. Prints each breach; exit 1 when there is any.
#   base <- conf <- storage <- {smtp, filters, delivery, admin}; delivery may also use smtp/proto.
# Run by `make check`, or by hand in the build directory: ../tests/includes.sh
src=$(cd "$(dirname "$0")/.." && pwd)
bad=0

breach() {
	echo "$*"
	bad=1
}

# The folders that a file may include from. base/dns holds a program (resolver), which may know conf.
allowed() {
	case $1 in
	base/dns/*) echo base conf ;;
	base/*) echo base ;;
	conf/*) echo base conf ;;
	storage/*) echo base conf storage ;;
	smtp/proto/*) echo base conf smtp/proto ;;
	smtp/*) echo base conf smtp ;;
	filters/*) echo base conf storage filters ;;
	delivery/*) echo base conf storage delivery smtp/proto ;;
	admin/*) echo base conf storage admin smtp/proto filters/dkim_key.h filters/dkim_state.h filters/tokens.h ;; # the form of keys as files
	esac
}

for file in $(cd "$src" && find base conf storage smtp filters delivery admin -name '*.[ch]'); do
	ok=$(allowed "$file")
	for include in $(sed -n 's/^#[[:space:]]*include "\([^"]*\)".*/\1/p' "$src/$file"); do
		[ "$include" = config.h ] && continue
		good=no
		for folder in $ok; do
			case $include in "$folder" | "$folder"/*) good=yes ;; esac
		done
		[ $good = yes ] || breach "$file includes \"$include\"; it may include only from: $ok"
	done
done

# links PROGRAM FORBIDDEN-LIBRARY...: shared libraries that the program must not need
links() {
	program=$1
	shift
	[ -x "$program" ] || return
	needed=$(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
	for library; do
		case $needed in *"$library"*) breach "$program links $library" ;; esac
	done
}

# no_objects PROGRAM LIBRARY.a...: no object file of these may be in the program (it is when all of its functions are)
no_objects() {
	program=$1
	shift
	[ -x "$program" ] || return
	for library; do
		[ -f "$library" ] || continue
		found=$( (nm --defined-only "$program" | awk '$2 == "T" { print "have", $3 }'
			nm --defined-only "$library" 2>/dev/null | awk '/:$/ { o = $1 } $2 == "T" { print "object", o, $3 }') |
			awk '$1 == "have" { have[$2] = 1 } $1 == "object" { n[$2]++; if ($3 in have) in_it[$2]++ }
				END { for (o in n) if (in_it[o] == n[o]) printf "%s ", o }')
		[ -z "$found" ] || breach "$program has $found from $library"
	done
}

# No role reads the configuration file; nobody links a library that is not of its work.
for role in admin/control base/dns/resolver storage/directory storage/auth delivery/mda delivery/relay filters/scan \
	filters/signer filters/filter delivery/queue smtp/smtpd; do
	links $role libconfuse
done
links smtp/smtpd libsqlite3 libclamav libspf2 libopendkim libgsasl libunbound libcurl
links filters/scan libsqlite3 libspf2 libopendkim libgsasl libunbound libcurl libevent_openssl
links filters/filter libclamav libgsasl libunbound libcurl
links filters/signer libsqlite3 libclamav libspf2 libgsasl libunbound
links base/dns/resolver libsqlite3 libclamav libspf2 libopendkim libgsasl
links storage/directory libclamav libspf2 libopendkim libgsasl libunbound libssl
links storage/auth libclamav libspf2 libopendkim libunbound
links delivery/queue libclamav libspf2 libopendkim libgsasl libunbound libssl
links delivery/mda libsqlite3 libclamav libspf2 libopendkim libgsasl libunbound libssl
links delivery/relay libsqlite3 libclamav libspf2 libopendkim libunbound
no_objects smtp/smtpd storage/*.a
no_objects filters/scan storage/*.a
no_objects filters/filter storage/libstorage.a storage/libhistory.a storage/libqueuestore.a
exit $bad
