#include "registry/store/writer.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum state { IDLE, GIVEN, DONE };

struct journal_writer {
	struct journal_file *file;
	void (*done)(void *arg, struct journal_job *job, int rc);
	void *arg;
	struct event *told;
	int event_fd; /* the job's end */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	/* under the lock */
	struct journal_job job;
	enum state state;
	int rc;
	bool end;
};

static void write_job(struct journal_writer *w, const struct journal_job *job)
{
	const uint64_t one = 1;
	int rc = job->whole ? journal_file_replace(w->file, job->text, job->len)
			    : journal_file_append(w->file, job->text, job->len);

	pthread_mutex_lock(&w->lock);
	w->rc = rc;
	w->state = DONE;
	pthread_mutex_unlock(&w->lock);
	if (write(w->event_fd, &one, sizeof(one)) < 0)
		return; /* full: it is being told */
}

static void *work(void *arg)
{
	struct journal_writer *w = arg;

	pthread_setname_np(pthread_self(), "journal");
	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct journal_job job;

		while (w->state != GIVEN && !w->end)
			pthread_cond_wait(&w->work, &w->lock);
		if (w->state != GIVEN)
			break;
		job = w->job; /* `text` is left alone until its end is told */
		pthread_mutex_unlock(&w->lock);
		write_job(w, &job);
		/* what fails here is no loss: the file is as good with its history, and the next time may do */
		if (job.compact)
			journal_file_compact(w->file);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
	struct journal_writer *w = arg;
	struct journal_job job;
	uint64_t n;
	int rc;

	if (read(w->event_fd, &n, sizeof(n)) < 0)
		n = 0; /* told already */
	pthread_mutex_lock(&w->lock);
	if (w->state != DONE) {
		pthread_mutex_unlock(&w->lock);
		return;
	}
	job = w->job;
	rc = w->rc;
	w->state = IDLE;
	pthread_mutex_unlock(&w->lock);
	w->done(w->arg, &job, rc);
}

static int start(struct journal_writer *w)
{
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the control loop's */
	rc = -pthread_create(&w->thread, NULL, work, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

int journal_writer_new(struct event_base *base, struct journal_file *file,
	void (*done)(void *arg, struct journal_job *job, int rc), void *arg, struct journal_writer **out)
{
	struct journal_writer *w = calloc(1, sizeof(*w));
	int rc = -ENOMEM;

	if (!w)
		return rc;
	w->file = file;
	w->done = done;
	w->arg = arg;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, NULL);
	w->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->told = w->event_fd < 0 ? NULL : event_new(base, w->event_fd, EV_READ | EV_PERSIST, on_done, w);
	if (w->told && event_add(w->told, NULL) == 0)
		rc = start(w);
	if (rc == 0) {
		*out = w;
		return 0;
	}
	if (w->told)
		event_free(w->told);
	if (w->event_fd >= 0)
		close(w->event_fd);
	free(w);
	return rc;
}

void journal_writer_give(struct journal_writer *w, const struct journal_job *job)
{
	pthread_mutex_lock(&w->lock);
	w->job = *job;
	w->state = GIVEN;
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
}

void journal_writer_free(struct journal_writer *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->end = true;
	pthread_cond_signal(&w->work);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	on_done(-1, 0, w);
	event_free(w->told);
	close(w->event_fd);
	pthread_cond_destroy(&w->work);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
