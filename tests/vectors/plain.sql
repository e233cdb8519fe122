CREATE TABLE public.t (id integer, note text);
COPY public.t (id, note) FROM stdin;
1	one
2	two
3	three
\.

--
-- PostgreSQL database dump complete
--
