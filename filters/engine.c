/* engine - libclamav behind a layer that takes nothing for clean but a clean scan
 *
 * The library says "clean" when its folder of signatures is empty, its temporary folder is full or
 * gone, descriptors have run out, or a limit was passed. So: no signatures is an error; space,
 * inodes and descriptors are looked at before each scan; passed limits are made visible and count
 * as not scanned; whatever the library reports as an error counts as not scanned; results are not
 * cached; and the canary, whose signature is added to every database, must be found at the start,
 * now and then, and after every error. */
#include "filters/engine.h"

#include <clamav.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "filters/canary.h"

#define CANARY_FILE "canary.ndb"
#define SPACE_LEAST (16 * 1024 * 1024) /* bytes free besides what the message needs */
#define INODES_LEAST 200
#define DESCRIPTORS_LEAST 64

struct engine {
	struct cl_engine *engine;
	struct cl_stat stat;
	bool watched;
	unsigned signatures;
	bool complained;
};

static atomic_uint complaints; /* errors the library reported so far */

static void
on_message(enum cl_msg severity, const char *full, const char *text, void *context)
{
	struct slice line = slice_trim(slice_of(text != NULL ? text : full));

	(void)context;
	if (severity == CL_MSG_ERROR) {
		atomic_fetch_add(&complaints, 1);
		log_error("libclamav: %.*s", SLICE_ARG(line));
	} else if (severity == CL_MSG_WARN) {
		log_debug("libclamav: %.*s", SLICE_ARG(line));
	}
}

int
engine_init(struct err *err)
{
	int rc = cl_init(CL_INIT_DEFAULT);

	if (rc != CL_SUCCESS)
		return err_set(err, ERR_PERMANENT, "libclamav cannot start: %s", cl_strerror(rc));
	cl_set_clcb_msg(on_message);
	return 0;
}

/* -- loading */

static int
set_limits(struct cl_engine *e, const struct engine_limits *limits, struct err *err)
{
	const struct {
		enum cl_engine_field field;
		long long value;
	} rows[] = {
		{ CL_ENGINE_MAX_SCANSIZE, (long long)limits->size },
		{ CL_ENGINE_MAX_FILESIZE, (long long)limits->size },
		{ CL_ENGINE_MAX_RECURSION, limits->depth },
		{ CL_ENGINE_MAX_FILES, limits->files },
		{ CL_ENGINE_MAX_SCANTIME, limits->timeout },
		/* a clean result that was wrong must not be remembered */
		{ CL_ENGINE_DISABLE_CACHE, 1 },
		/* no memory is ever both written and run */
		{ CL_ENGINE_BYTECODE_MODE, CL_BYTECODE_MODE_INTERPRETER },
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		int rc = cl_engine_set_num(e, rows[i].field, rows[i].value);

		if (rc != CL_SUCCESS)
			return err_set(
			    err, ERR_PERMANENT, "libclamav refuses a limit: %s", cl_strerror(rc));
	}
	if (cl_engine_set_str(e, CL_ENGINE_TMPDIR, ".") != CL_SUCCESS)
		return err_set(err, ERR_PERMANENT, "libclamav refuses the temporary folder");
	return 0;
}

static int
write_canary_file(struct err *err)
{
	struct buf line;
	int fd = open(CANARY_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n;

	if (fd < 0)
		return err_sys(err, "the temporary folder cannot be written");
	buf_init(&line, CANARY_MAX);
	canary_signature(&line);
	n = write(fd, line.at, line.len);
	close(fd);
	if (n != (ssize_t)line.len)
		err_sys(err, "the temporary folder cannot be written");
	n = n == (ssize_t)line.len ? 0 : -1;
	buf_free(&line);
	return (int)n;
}

static int
load_signatures(struct engine *e, const char *dir, struct err *err)
{
	unsigned extra = 0;
	int rc = cl_load(dir, e->engine, &e->signatures, CL_DB_STDOPT);

	if (rc != CL_SUCCESS || e->signatures == 0)
		return err_set(err, ERR_PERMANENT,
		    "there are no usable virus signatures in antivirus.database: %s",
		    rc == CL_SUCCESS ? "it is empty" : cl_strerror(rc));
	if (write_canary_file(err) == -1)
		return -1;
	rc = cl_load(CANARY_FILE, e->engine, &extra, CL_DB_STDOPT);
	unlink(CANARY_FILE);
	if (rc == CL_SUCCESS)
		rc = cl_engine_compile(e->engine);
	if (rc != CL_SUCCESS)
		return err_set(
		    err, ERR_PERMANENT, "the virus signatures cannot be used: %s", cl_strerror(rc));
	return 0;
}

struct engine *
engine_load(const char *dir, const struct engine_limits *limits, struct err *err)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (e == NULL || (e->engine = cl_engine_new()) == NULL) {
		err_set(err, ERR_TEMPORARY, "out of memory");
		free(e);
		return NULL;
	}
	/* taken before the load: what changes meanwhile is seen later */
	e->watched = cl_statinidir(dir, &e->stat) == CL_SUCCESS;
	if (set_limits(e->engine, limits, err) == -1 || load_signatures(e, dir, err) == -1) {
		engine_free(&e);
		return NULL;
	}
	if (!engine_is_alive(e)) {
		err_set(err, ERR_TEMPORARY,
		    "the scanner does not find what it must find (see the lines before); is its "
		    "temporary "
		    "folder full?");
		engine_free(&e);
	}
	return e;
}

void
engine_free(struct engine **ep)
{
	struct engine *e = *ep;

	*ep = NULL;
	if (e == NULL)
		return;
	if (e->watched)
		cl_statfree(&e->stat);
	cl_engine_free(e->engine);
	free(e);
}

unsigned
engine_signatures(const struct engine *e)
{
	return e->signatures;
}

bool
engine_is_stale(const struct engine *e)
{
	return e->watched && cl_statchkdir(&e->stat) == 1;
}

/* -- scanning */

static const char *
no_room(size_t need)
{
	struct statvfs fs;
	struct rlimit files;
	int lowest = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	if (lowest >= 0)
		close(lowest);
	if (lowest < 0 || getrlimit(RLIMIT_NOFILE, &files) == -1 ||
	    (files.rlim_cur != RLIM_INFINITY &&
		(rlim_t)lowest + DESCRIPTORS_LEAST > files.rlim_cur))
		return "the scanner has no free descriptors";
	if (statvfs(".", &fs) == -1)
		return "the scanner's temporary folder is gone";
	if ((uint64_t)fs.f_bavail * fs.f_frsize < SPACE_LEAST + 2 * (uint64_t)need)
		return "the scanner's temporary folder is nearly full";
	/* file systems without a fixed number of inodes say 0 of 0 */
	if (fs.f_files > 0 && fs.f_favail < INODES_LEAST)
		return "the scanner's temporary folder has no free inodes";
	return NULL;
}

static enum scan_status
failed(char text[static ENGINE_TEXT], const char *why)
{
	slice_copy(slice_of(why), text, ENGINE_TEXT);
	return SCAN_FAILED;
}

static enum scan_status
judge_code(int rc, const char *name, char text[static ENGINE_TEXT])
{
	if (rc == CL_CLEAN)
		return SCAN_CLEAN;
	if (rc != CL_VIRUS)
		return failed(text, cl_strerror(rc));
	/* without a name the whole message was past a limit */
	if (name == NULL || strncmp(name, "Heuristics.Limits.Exceeded", 26) == 0)
		return failed(text, "it is too large, too deep or takes too long to be scanned");
	slice_copy(slice_of(name), text, ENGINE_TEXT);
	return SCAN_INFECTED;
}

static enum scan_status
scan_map(struct engine *e, cl_fmap_t *map, char text[static ENGINE_TEXT])
{
	struct cl_scan_options options;
	const char *name = NULL;
	unsigned long scanned = 0;
	unsigned before = atomic_load(&complaints);
	enum scan_status status;
	int rc;

	memset(&options, 0, sizeof(options));
	options.general = CL_SCAN_GENERAL_HEURISTICS;
	options.parse = ~0u;
	options.heuristic = CL_SCAN_HEURISTIC_EXCEEDS_MAX;
	rc = cl_scanmap_callback(map, NULL, &name, &scanned, e->engine, &options, NULL);
	status = judge_code(rc, name, text);
	e->complained = atomic_load(&complaints) != before;
	if (e->complained && status == SCAN_CLEAN)
		return failed(text, "the scanner reported an error");
	return status;
}

enum scan_status
engine_scan(struct engine *e, struct slice message, char text[static ENGINE_TEXT])
{
	const char *why = no_room(message.len);
	enum scan_status status;
	cl_fmap_t *map;

	text[0] = '\0';
	e->complained = false;
	if (why != NULL)
		return failed(text, why);
	if (message.len == 0)
		return SCAN_CLEAN;
	map = cl_fmap_open_memory(message.at, message.len);
	if (map == NULL)
		return failed(text, "the scanner is out of memory");
	status = scan_map(e, map, text);
	cl_fmap_close(map);
	why = status == SCAN_CLEAN ? no_room(0) : NULL;
	return why != NULL ? failed(text, why) : status;
}

bool
engine_is_alive(struct engine *e)
{
	char text[ENGINE_TEXT];
	struct buf message;
	bool found;

	buf_init(&message, CANARY_MAX);
	canary_message(&message);
	found = engine_scan(e, buf_all(&message), text) == SCAN_INFECTED &&
		strstr(text, CANARY_NAME) != NULL;
	if (!found)
		log_error("the scanner did not find its canary: %s",
		    text[0] != '\0' ? text : "called it clean");
	buf_free(&message);
	return found;
}

bool
engine_complained(const struct engine *e)
{
	return e->complained;
}
