"""What everything here that loads pretrained weights shares."""
