#include "control/model/port_eth.h"

#include "control/base/params.h"

static int eth_read(struct model *model, struct model_port *port, struct api_err *err)
{
	port->spec.devargs = param_str(port->params, "devargs");
	return 0;
}

static int pcap_read(struct model *model, struct model_port *port, struct api_err *err)
{
	port->spec.file = param_str(port->params, "file");
	return 0;
}

static const char *const eth_takes[] = {"devargs", NULL};
static const char *const null_takes[] = {NULL};
static const char *const pcap_takes[] = {"file", NULL};

const struct port_type port_eth = {.takes = eth_takes, .needs = "devargs", .read = eth_read};
const struct port_type port_eth_null = {.takes = null_takes};
const struct port_type port_eth_pcap = {.takes = pcap_takes, .needs = "file", .read = pcap_read};
