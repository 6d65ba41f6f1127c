# tests: what `make check` runs beside the unit tests, and what goes into the tarball. `./check` runs the whole.
TESTS += tests/includes.sh
EXTRA_DIST += tests/includes.sh tests/packages tests/install-packages tests/install-clients tests/conftest.py tests/pytest.ini

# Folders whose files nobody wants to name one by one; and `check`, which in EXTRA_DIST would be the target of that name: all unit tests.
dist-hook:
	cp -p $(srcdir)/check "$(distdir)/check"
	cd $(srcdir) && find tests/system tests/talk tests/fault tests/bench tests/fuzz .ci -type f ! -name '*.pyc' 2>/dev/null | \
		while read -r f; do mkdir -p "$(abs_top_builddir)/$(distdir)/$${f%/*}" && \
		cp -p "$$f" "$(abs_top_builddir)/$(distdir)/$$f" || exit 1; done
