#include "registry/http/tls.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/table/table.h"

struct http_tls {
	SSL_CTX *ctx;
	char *cert, *key, *client_ca;
};

/* A key with a password would have the daemon ask for it on its terminal. */
static int no_password(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

/* OpenSSL's own lines do not name the file that it could not open. */
static int try_file(const char *option, const char *path, struct reg_err *err)
{
	FILE *file = fopen(path, "re");
	int rc = file ? 0 : -errno;

	if (!file)
		return reg_fail(err, -EINVAL, "%s: %s: %s", option, path, strerror(-rc));
	fclose(file);
	return 0;
}

static int load_pair(SSL_CTX *ctx, const struct http_tls *tls, struct reg_err *err)
{
	if (try_file("http_tls_cert", tls->cert, err) < 0 || try_file("http_tls_key", tls->key, err) < 0)
		return -EINVAL;
	if (SSL_CTX_use_certificate_chain_file(ctx, tls->cert) != 1)
		return reg_fail(
			err, -EINVAL, "http_tls_cert: %s: holds no certificate that can be used", tls->cert);
	if (SSL_CTX_use_PrivateKey_file(ctx, tls->key, SSL_FILETYPE_PEM) == 1)
		return 0;
	if (ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH)
		return reg_fail(err, -EINVAL, "http_tls_key: %s: is not the key of %s", tls->key, tls->cert);
	return reg_fail(err, -EINVAL, "http_tls_key: %s: holds no key without a password", tls->key);
}

/* The file says whom to trust, and clients are told these names so that they can choose a certificate. */
static int load_client_ca(SSL_CTX *ctx, const struct http_tls *tls, struct reg_err *err)
{
	STACK_OF(X509_NAME) * names;

	if (try_file("http_tls_client_ca", tls->client_ca, err) < 0)
		return -EINVAL;
	names = SSL_load_client_CA_file(tls->client_ca);
	if (!names || SSL_CTX_load_verify_file(ctx, tls->client_ca) != 1) {
		sk_X509_NAME_pop_free(names, X509_NAME_free);
		return reg_fail(err, -EINVAL, "http_tls_client_ca: %s: holds no certificate that can be used",
			tls->client_ca);
	}
	SSL_CTX_set_client_CA_list(ctx, names);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	return 0;
}

/* No session is resumed: whoever comes back is looked at again, by the files as they are then. */
static int make_ctx(const struct http_tls *tls, SSL_CTX **out, struct reg_err *err)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	int rc;

	if (!ctx)
		return reg_fail(err, -ENOMEM, "out of memory");
	ERR_clear_error();
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(
		ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS); /* thousands of them wait for a change */
	SSL_CTX_set_default_passwd_cb(ctx, no_password);
	rc = load_pair(ctx, tls, err);
	if (!rc && tls->client_ca)
		rc = load_client_ca(ctx, tls, err);
	ERR_clear_error();
	if (rc < 0) {
		SSL_CTX_free(ctx);
		return rc;
	}
	*out = ctx;
	return 0;
}

static int copy_name(const char *name, char **out)
{
	if (name && !(*out = strdup(name)))
		return -ENOMEM;
	return 0;
}

int http_tls_open(const struct http_tls_files *files, struct http_tls **out, struct reg_err *err)
{
	struct http_tls *tls;
	int rc = 0;

	*out = NULL;
	if (!files->cert && !files->key && !files->client_ca)
		return 0;
	if (!files->cert || !files->key)
		return reg_fail(err, -EINVAL, "http_tls_%s: needed for TLS", files->cert ? "key" : "cert");
	tls = calloc(1, sizeof(*tls));
	reg_fail(err, 0, "out of memory");
	if (!tls)
		return -ENOMEM;
	if (copy_name(files->cert, &tls->cert) < 0 || copy_name(files->key, &tls->key) < 0 ||
		copy_name(files->client_ca, &tls->client_ca) < 0)
		rc = -ENOMEM;
	if (!rc)
		rc = make_ctx(tls, &tls->ctx, err);
	if (rc < 0) {
		http_tls_close(tls);
		return rc;
	}
	*out = tls;
	return 0;
}

void http_tls_close(struct http_tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->ctx);
	free(tls->cert);
	free(tls->key);
	free(tls->client_ca);
	free(tls);
}

int http_tls_reload(struct http_tls *tls, struct reg_err *err)
{
	SSL_CTX *fresh = NULL;
	int rc = make_ctx(tls, &fresh, err);

	if (rc < 0)
		return rc;
	SSL_CTX_free(tls->ctx); /* each connection holds its own reference */
	tls->ctx = fresh;
	return 0;
}

bool http_tls_asks_clients(const struct http_tls *tls)
{
	return tls && tls->client_ca;
}

struct bufferevent *http_tls_accept(struct http_tls *tls, struct event_base *base)
{
	struct bufferevent *bev;
	SSL *ssl;

	if (!tls)
		return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	ssl = SSL_new(tls->ctx);
	bev = ssl ? bufferevent_openssl_socket_new(
			    base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE)
		  : NULL;
	if (!bev)
		SSL_free(ssl);
	else
		bufferevent_openssl_set_allow_dirty_shutdown(bev, 1); /* HTTP tells itself where it ends */
	return bev;
}
