# base/dns: see Makefile.am
