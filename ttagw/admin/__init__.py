"""The admin side: health, metrics, the instances of services and what happens to them. Ordinary twisted.web resources;
never public.
"""
