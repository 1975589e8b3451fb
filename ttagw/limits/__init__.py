"""How much somebody has used: buckets in this process, or shared by several gateways."""
