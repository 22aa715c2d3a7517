// Go's clients of Consul against a daemon: consul_go PORT. Prints what is not as Consul has it, then the number of points
// that were looked at. This file takes what Debian's client of 2015 has, too; more.go is for the official one, plans.go for
// its package watch.
package main

import (
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"time"

	consul "github.com/hashicorp/consul/api"
)

const (
	node     = "edge1"
	patience = 60 * time.Second
)

var (
	client  *consul.Client
	address string
	points  int
)

// Says what is not as it should be.
func same(what string, err error, got, want interface{}) {
	points++
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
	} else if !reflect.DeepEqual(got, want) {
		fmt.Printf("%s: %v instead of %v\n", what, got, want)
	}
}

// The call must fail, and say this.
func fails(what string, err error, text string) {
	points++
	if err == nil || !strings.Contains(err.Error(), text) {
		fmt.Printf("%s: must fail with %q: %v\n", what, text, err)
	}
}

// What cannot be gone on without.
func must(what string, err error) {
	points++
	if err != nil {
		fmt.Printf("%s: %v\n", what, err)
		os.Exit(1)
	}
}

// Makes a change while somebody waits for it.
func soon(change func()) {
	go func() {
		time.Sleep(200 * time.Millisecond)
		change()
	}()
}

func after(index uint64) *consul.QueryOptions {
	return &consul.QueryOptions{WaitIndex: index, WaitTime: patience}
}

func agent() {
	a := client.Agent()
	own, err := a.Self()
	same("Agent.Self", err, own["Config"]["NodeName"], node)
	name, err := a.NodeName()
	same("Agent.NodeName", err, name, node)
	members, err := a.Members(false)
	same("Agent.Members", err, len(members), 1)
	must("Agent.ServiceRegister", a.ServiceRegister(&consul.AgentServiceRegistration{ID: "w1", Name: "web", Tags: []string{"v1"},
		Port: 80, Check: &consul.AgentServiceCheck{TTL: "600s"}}))
	services, err := a.Services()
	same("Agent.Services", err, services["w1"] != nil && services["w1"].Port == 80 && services["w1"].Service == "web", true)
	must("Agent.WarnTTL", a.WarnTTL("service:w1", "hm"))
	checks, err := a.Checks()
	same("Agent.Checks", err, checks["service:w1"].Status+" "+checks["service:w1"].Output, "warning hm")
	must("Agent.FailTTL", a.FailTTL("service:w1", "ill"))
	must("Agent.UpdateTTL", a.UpdateTTL("service:w1", "well", "pass"))
	must("Agent.CheckRegister", a.CheckRegister(&consul.AgentCheckRegistration{ID: "disk", Name: "disk", Notes: "space",
		AgentServiceCheck: consul.AgentServiceCheck{TTL: "600s"}}))
	must("Agent.PassTTL", a.PassTTL("disk", ""))
	must("Agent.CheckDeregister", a.CheckDeregister("disk"))
	fails("Agent.CheckDeregister twice", a.CheckDeregister("disk"), "disk")
	fails("Agent.PassTTL of none", a.PassTTL("none", ""), "none")
	fails("Agent.Join", a.Join("192.0.2.1", false), "not served by Sluice")
	fails("Agent.ForceLeave", a.ForceLeave("x"), "not served by Sluice")
}

func discover() {
	h := client.Health()
	entries, meta, err := h.Service("web", "v1", true, nil)
	same("Health.Service", err, len(entries) == 1 && entries[0].Service.ID == "w1" && entries[0].Node.Node == node &&
		len(entries[0].Checks) == 2 && meta.LastIndex > 0 && meta.KnownLeader, true)
	entries, _, err = h.Service("web", "v2", false, nil)
	same("Health.Service of a tag that nobody has", err, len(entries), 0)
	of, _, err := h.Checks("web", nil)
	same("Health.Checks", err, len(of) == 1 && of[0].CheckID == "service:w1" && of[0].ServiceName == "web", true)
	on, _, err := h.Node(node, nil)
	same("Health.Node", err, len(on), 2)
	in, _, err := h.State("passing", nil)
	same("Health.State", err, len(in), 2)
	soon(func() { client.Agent().FailTTL("service:w1", "ill") })
	entries, next, err := h.Service("web", "", true, after(meta.LastIndex))
	same("Health.Service that waits", err, len(entries) == 0 && next.LastIndex > meta.LastIndex, true)
	soon(func() { client.Agent().PassTTL("service:w1", "well") })
	in, _, err = h.State("critical", after(next.LastIndex))
	same("Health.State that waits", err, len(in), 0)
}

func catalog() {
	c := client.Catalog()
	_, err := c.Register(&consul.CatalogRegistration{Node: "edge2", Address: "192.0.2.2",
		Service: &consul.AgentService{ID: "d1", Service: "db", Tags: []string{"primary"}, Port: 5432},
		Check:   &consul.AgentCheck{Node: "edge2", CheckID: "db", Name: "db", Status: "passing", ServiceID: "d1"}}, nil)
	must("Catalog.Register", err)
	nodes, meta, err := c.Nodes(nil)
	same("Catalog.Nodes", err, len(nodes) == 2 && nodes[1].Node == "edge2" && nodes[1].Address == "192.0.2.2", true)
	services, seen, err := c.Services(nil)
	same("Catalog.Services", err, services, map[string][]string{"consul": {}, "web": {"v1"}, "db": {"primary"}})
	of, _, err := c.Service("db", "primary", nil)
	same("Catalog.Service", err, len(of) == 1 && of[0].ServicePort == 5432 && of[0].Node == "edge2", true)
	one, _, err := c.Node("edge2", nil)
	same("Catalog.Node", err, one.Node.Node == "edge2" && one.Services["d1"].Port == 5432, true)
	datacenters, err := c.Datacenters()
	same("Catalog.Datacenters", err, datacenters, []string{"dc1"})
	_, _, err = c.Nodes(&consul.QueryOptions{Datacenter: "elsewhere"})
	fails("Catalog.Nodes of another datacenter", err, "No path to datacenter")
	_, err = c.Register(&consul.CatalogRegistration{Node: "x", Address: "192.0.2.3", Datacenter: "elsewhere"}, nil)
	fails("Catalog.Register in another datacenter", err, "No path to datacenter")
	soon(func() { c.Deregister(&consul.CatalogDeregistration{Node: "edge2"}, nil) })
	services, _, err = c.Services(after(seen.LastIndex))
	same("Catalog.Services that waits", err, len(services), 2)
	nodes, _, err = c.Nodes(after(meta.LastIndex))
	same("Catalog.Nodes after that", err, len(nodes), 1)
}

func keys() {
	kv := client.KV()
	pair, meta, err := kv.Get("a/b", nil)
	same("KV.Get of none", err, pair == nil && meta.LastIndex > 0, true)
	const flags = uint64(1<<64 - 1)
	_, err = kv.Put(&consul.KVPair{Key: "a/b", Value: []byte("one"), Flags: flags}, nil)
	must("KV.Put", err)
	pair, meta, err = kv.Get("a/b", nil)
	must("KV.Get", err)
	same("KV.Get", err, string(pair.Value) == "one" && pair.Flags == flags && pair.ModifyIndex == pair.CreateIndex, true)
	done, _, err := kv.CAS(&consul.KVPair{Key: "a/b", Value: []byte("two")}, nil)
	same("KV.CAS of 0", err, done, false)
	done, _, err = kv.CAS(&consul.KVPair{Key: "a/b", Value: []byte("two"), ModifyIndex: pair.ModifyIndex}, nil)
	same("KV.CAS", err, done, true)
	soon(func() { kv.Put(&consul.KVPair{Key: "a/c"}, nil) })
	pairs, _, err := kv.List("a/", after(meta.LastIndex+1))
	same("KV.List that waits", err, len(pairs) > 0 && string(pairs[0].Value) == "two", true)
	names, _, err := kv.Keys("a", "/", nil)
	same("KV.Keys", err, names, []string{"a/"})
	_, err = kv.Delete("a/b", nil)
	must("KV.Delete", err)
	_, err = kv.DeleteTree("a", nil)
	must("KV.DeleteTree", err)
	names, _, err = kv.Keys("", "", nil)
	same("KV.Keys after that", err, len(names), 0)
}

func sessions() {
	s, kv := client.Session(), client.KV()
	mine, _, err := s.Create(&consul.SessionEntry{Name: "mine", TTL: "20s", LockDelay: time.Millisecond}, nil)
	must("Session.Create", err)
	other, _, err := s.CreateNoChecks(&consul.SessionEntry{Behavior: "delete"}, nil)
	must("Session.CreateNoChecks", err)
	_, _, err = s.Create(&consul.SessionEntry{TTL: "1s"}, nil)
	fails("Session.Create for a second", err, "TTL")
	entry, _, err := s.Info(mine, nil)
	same("Session.Info", err, entry.Name == "mine" && entry.Node == node && entry.TTL == "20s", true)
	list, meta, err := s.List(nil)
	same("Session.List", err, len(list), 2)
	list, _, err = s.Node(node, nil)
	same("Session.Node", err, len(list), 2)
	done, _, err := kv.Acquire(&consul.KVPair{Key: "lock", Session: mine}, nil)
	same("KV.Acquire", err, done, true)
	done, _, err = kv.Acquire(&consul.KVPair{Key: "lock", Session: other}, nil)
	same("KV.Acquire of what is held", err, done, false)
	done, _, err = kv.Acquire(&consul.KVPair{Key: "brief", Session: other}, nil)
	same("KV.Acquire", err, done, true)
	entry, _, err = s.Renew(mine, nil)
	same("Session.Renew", err, entry != nil && entry.ID == mine, true)
	soon(func() { s.Destroy(other, nil) })
	list, _, err = s.List(after(meta.LastIndex))
	same("Session.List that waits", err, len(list) == 1 && list[0].ID == mine, true)
	pair, _, err := kv.Get("brief", nil)
	same("a key of a session that deletes", err, pair == nil, true)
	done, _, err = kv.Release(&consul.KVPair{Key: "lock", Session: mine}, nil)
	same("KV.Release", err, done, true)
	_, err = s.Destroy(mine, nil)
	must("Session.Destroy", err)
	entry, _, err = s.Info(mine, nil)
	same("Session.Info of none", err, entry == nil, true)
	_, err = kv.Delete("lock", nil)
	must("KV.Delete", err)
}

func events() {
	e := client.Event()
	_, meta, err := e.List("", nil)
	must("Event.List", err)
	id, _, err := e.Fire(&consul.UserEvent{Name: "deploy", Payload: []byte("v2")}, nil)
	must("Event.Fire", err)
	list, meta, err := e.List("deploy", after(meta.LastIndex))
	same("Event.List", err, len(list) == 1 && list[0].ID == id && string(list[0].Payload) == "v2" &&
		meta.LastIndex == e.IDToIndex(id), true)
	soon(func() { e.Fire(&consul.UserEvent{Name: "deploy"}, nil) })
	list, _, err = e.List("deploy", after(meta.LastIndex))
	same("Event.List that waits", err, len(list), 2)
}

func main() {
	address = "127.0.0.1:" + os.Args[1]
	config := consul.DefaultConfig()
	config.Address = address
	var err error
	client, err = consul.NewClient(config)
	must("NewClient", err)
	leader, err := client.Status().Leader()
	same("Status.Leader", err, leader, "127.0.0.1:8300")
	peers, err := client.Status().Peers()
	same("Status.Peers", err, peers, []string{"127.0.0.1:8300"})
	for _, round := range []func(){agent, discover, catalog, keys, sessions, events, more, plans} {
		round()
	}
	must("Agent.ServiceDeregister", client.Agent().ServiceDeregister("w1"))
	services, err := client.Agent().Services()
	names := []string{}
	for name := range services {
		names = append(names, name)
	}
	sort.Strings(names)
	same("Agent.Services at the end", err, names, []string{})
	fmt.Printf("%d points\n", points)
}
